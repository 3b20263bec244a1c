//! One value written to one file of a group: what the limits of a configuration come down to.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use super::files::Files;
use super::{Cgroup, CgroupError};

/// A value for a file of a controller, with the field of the configuration that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) controller: String,
    pub(super) file: String,
    pub(super) value: Value,
    pub(super) field: String,
    pub(super) missing: Missing,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// The first word that the file holds, then this: cpu.max takes a new period only beside the quota.
    AfterFirstWord(String),
}

/// What it means that the kernel has no such file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The limit cannot be had.
    Error,
    /// There is nothing to limit.
    Ignore,
    /// Another file does the same.
    Instead(Box<Setting>),
}

impl<T: ToString> From<T> for Value {
    fn from(value: T) -> Self {
        Self::Text(value.to_string())
    }
}

impl Setting {
    /// `field` without its prefix `linux.resources.`
    pub(super) fn new(
        controller: &str,
        file: impl Into<String>,
        value: impl Into<Value>,
        field: &str,
    ) -> Self {
        let field = format!("linux.resources.{field}");
        let (file, value) = (file.into(), value.into());
        Self { controller: controller.to_owned(), file, value, field, missing: Missing::Error }
    }

    /// The same for a value that is not plain text.
    pub(super) fn new_value(controller: &str, file: &str, value: Value, field: &str) -> Self {
        Self { value, ..Self::new(controller, file, "", field) }
    }

    /// The same, left out where the kernel has no such file.
    pub(super) fn optional(mut self) -> Self {
        self.missing = Missing::Ignore;
        self
    }

    /// The same, replaced where the kernel has no such file.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.missing = Missing::Instead(Box::new(other));
        self
    }

    /// Writes the value to the file below `dir`.
    fn write(&self, dir: &Path, files: &Files) -> Result<(), CgroupError> {
        let value = match &self.value {
            Value::Text(text) => text.clone(),
            Value::AfterFirstWord(rest) => {
                let now = files.text(&self.file).unwrap_or_default();
                format!("{} {rest}", now.split_whitespace().next().unwrap_or("max"))
            }
        };
        match (files.write(&self.file, &value), &self.missing) {
            (Err(error), Missing::Error) if error.kind() == ErrorKind::NotFound => Err(self.missing()),
            (Err(error), Missing::Ignore) if error.kind() == ErrorKind::NotFound => Ok(()),
            (Err(error), Missing::Instead(other)) if error.kind() == ErrorKind::NotFound => {
                other.write(dir, files)
            }
            (written, _) => written.map_err(|source| CgroupError::Apply {
                field: self.field.clone(),
                value,
                path: dir.join(&self.file),
                source,
            }),
        }
    }

    fn missing(&self) -> CgroupError {
        CgroupError::NoController { field: self.field.clone(), controller: self.controller.clone() }
    }
}

/// Writes all settings, in their order. One that the kernel finds invalid is tried again when all others are written:
/// a memory limit may not pass the one of memory and swap, a quota not the burst, a period not the quota, so that
/// which has to come first depends on what was there before.
///
/// With `restore` a failure leaves everything as it was, as far as one value can be written back.
pub(super) fn write_all(cgroup: &Cgroup, settings: &[Setting], restore: bool) -> Result<(), CgroupError> {
    let before = if restore { Before::read(cgroup, settings) } else { Before::default() };
    write_each(cgroup, settings).inspect_err(|_| before.write_back())
}

/// What files of a group held: one line each, or they are not known.
#[derive(Debug, Default)]
struct Before(Vec<(Files, String, String)>);

impl Before {
    fn read(cgroup: &Cgroup, settings: &[Setting]) -> Self {
        let read = |setting: &Setting| {
            let files = Files::open(cgroup.controller_dir(&setting.controller)?).ok()?;
            let text = files.text(&setting.file).ok()?;
            let value = text.strip_suffix('\n').unwrap_or(&text);
            let is_plain = !value.is_empty() && !value.contains('\n');
            is_plain.then(|| (files, setting.file.clone(), value.to_owned()))
        };
        Self(settings.iter().filter_map(read).collect())
    }

    /// In the order of before and the other way round: of two values that bound each other either may have to be first.
    fn write_back(&self) {
        for (files, file, value) in self.0.iter().chain(self.0.iter().rev()) {
            // The failure that led here is the one to report.
            let _ = files.write(file, value);
        }
    }
}

fn write_each(cgroup: &Cgroup, settings: &[Setting]) -> Result<(), CgroupError> {
    let mut opened: BTreeMap<&Path, Files> = BTreeMap::new();
    let mut again = Vec::new();
    for setting in settings {
        let Some(dir) = cgroup.controller_dir(&setting.controller) else {
            match setting.missing {
                Missing::Ignore => continue,
                _ => return Err(setting.missing()),
            }
        };
        if !opened.contains_key(dir) {
            let files =
                Files::open(dir).map_err(|source| CgroupError::Read { path: dir.to_owned(), source })?;
            opened.insert(dir, files);
        }
        let Some(files) = opened.get(dir) else { continue };
        match setting.write(dir, files) {
            Err(CgroupError::Apply { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => {
                again.push((setting, dir));
            }
            written => written?,
        }
    }
    for (setting, dir) in again {
        if let Some(files) = opened.get(dir) {
            setting.write(dir, files)?;
        }
    }
    Ok(())
}

/// The error for a field that cannot be honoured here.
pub(super) fn unsupported(field: &str, reason: &'static str) -> CgroupError {
    CgroupError::Unsupported { field: format!("linux.resources.{field}"), reason }
}
