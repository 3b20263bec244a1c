//! One value written to one file of a group: what the limits of a configuration come down to.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::CgroupError;

/// A value for a file of a controller, with the field of the configuration that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) controller: &'static str,
    pub(super) file: String,
    pub(super) value: String,
    pub(super) field: String,
}

/// A value as text.
pub(super) struct Value(String);

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(number.to_string())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self(number.to_string())
    }
}

impl Setting {
    /// `field` without its prefix `linux.resources.`
    pub(super) fn new(
        controller: &'static str,
        file: impl Into<String>,
        value: impl Into<Value>,
        field: &str,
    ) -> Self {
        let field = format!("linux.resources.{field}");
        Self { controller, file: file.into(), value: value.into().0, field }
    }

    /// Writes the value below `dir`, the controller's directory, None where the host lacks it.
    pub(super) fn write(&self, dir: Option<&Path>) -> Result<(), CgroupError> {
        let missing = || CgroupError::NoController {
            field: self.field.clone(),
            controller: self.controller.to_owned(),
        };
        let path = dir.ok_or_else(missing)?.join(&self.file);
        match write(&path, &self.value) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(missing()),
            other => other.map_err(|source| CgroupError::Apply {
                field: self.field.clone(),
                value: self.value.clone(),
                path,
                source,
            }),
        }
    }
}

/// Writes a value in one write(2), as control files want it, creating nothing.
pub(super) fn write(path: &Path, value: &str) -> std::io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

/// The error for a field that cannot be honoured here.
pub(super) fn unsupported(field: &str, reason: &'static str) -> CgroupError {
    CgroupError::Unsupported { field: format!("linux.resources.{field}"), reason }
}
