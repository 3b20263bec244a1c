//! Writing to procfs: always through a descriptor of the host's own /proc, checked to be one, and never across a
//! mount. Nothing that an image contains or a container mounts comes between (CVE-2025-52881).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::step::{Step, StepError};

/// `PROC_SUPER_MAGIC` of linux/magic.h.
const PROC_MAGIC: i64 = 0x9fa0;

/// Opens the host's /proc.
pub(crate) fn open() -> Result<OwnedFd, StepError> {
    let what = || "the host's /proc cannot be used";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty()).step(what)?;
    if rustix::fs::fstatfs(&proc).step(what)?.f_type != PROC_MAGIC {
        return Err(StepError::rule("/proc of the host is not a procfs"));
    }
    Ok(proc)
}

/// Writes `value` to the file `path` of procfs.
pub(crate) fn write(proc: BorrowedFd<'_>, path: &str, value: &[u8]) -> rustix::io::Result<()> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    if rustix::fs::fstatfs(file.as_fd())?.f_type != PROC_MAGIC {
        return Err(rustix::io::Errno::XDEV);
    }
    let written = rustix::io::write(&file, value)?;
    if written == value.len() { Ok(()) } else { Err(rustix::io::Errno::IO) }
}

#[cfg(test)]
mod tests;
