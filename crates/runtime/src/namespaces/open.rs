//! Opening a namespace by path, and being sure of its type before anything is done with it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::{Mode, OFlags};

use crate::step::{Step, StepError};

/// `NSFS_MAGIC` of linux/magic.h.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// Opens the namespace `path`, which must be one of `kind`: config-linux.md, "Namespaces".
pub(super) fn open(path: &Path, kind: LinuxNamespaceType) -> Result<OwnedFd, StepError> {
    let what = || format!("the namespace {} cannot be used", path.display());
    if !path.is_absolute() {
        return Err(StepError::rule(format!("linux.namespaces: {} is not an absolute path", path.display())));
    }
    // Not for reading yet: a path may lead to a FIFO or a device, which opening would wait for or act on.
    let found = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step(what)?;
    if rustix::fs::fstatfs(&found).step(what)?.f_type != NSFS_MAGIC {
        return Err(StepError::rule(format!("{} is not a namespace", path.display())));
    }
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let fd = fd.step(what)?;
    // A file that has been put there in between is none that knows this question.
    let found = crate::sys::namespace::type_of(fd.as_fd()).step(what)?;
    if found != u64::from(kind as u32) {
        return Err(StepError::rule(format!(
            "{} is not a namespace of type {}",
            path.display(),
            super::name(kind)
        )));
    }
    Ok(fd)
}
