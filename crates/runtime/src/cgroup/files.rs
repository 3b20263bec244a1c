//! The files of one directory of a group, each opened relative to it.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

/// An open directory of a group.
#[derive(Debug)]
pub(super) struct Files {
    dir: OwnedFd,
}

impl Files {
    /// Opens the directory.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { dir: openat(CWD, dir, flags, Mode::empty())? })
    }

    /// Writes a value in one write(2), as control files want it, creating nothing.
    pub(super) fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let file = self.descriptor(file, OFlags::WRONLY)?;
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, value.as_bytes()))?;
        if written == value.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// The file, open.
    pub(super) fn descriptor(&self, file: &str, flags: OFlags) -> io::Result<OwnedFd> {
        Ok(openat(&self.dir, file, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?)
    }

    /// The file's content.
    pub(super) fn text(&self, file: &str) -> io::Result<String> {
        let mut file = std::fs::File::from(self.descriptor(file, OFlags::RDONLY)?);
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(text)
    }

    /// The number in the file; `max` is the largest there is. None: no such file, or no number.
    pub(super) fn number(&self, file: &str) -> Option<u64> {
        number(self.text(file).ok()?.trim())
    }
}

/// A number of a control file; `max` is the largest there is.
pub(super) fn number(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

/// The lines `name value` of a flat keyed file.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name, number(value.trim())?))
    })
}
