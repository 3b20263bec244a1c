//! `remount`: a mount that is there is changed, as mount(8) means it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fspick};

use super::filesystem::configure;
use super::options::MountOptions;
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// Changes the mount whose root is `target`: its own attributes, and the file system's options where there are any.
pub(super) fn remount(target: &OwnedFd, destination: &Path, options: &MountOptions) -> Result<(), StepError> {
    let what = || format!("could not remount {} in the container", destination.display());
    if options.attr != MountAttr::default() {
        mount_setattr(target.as_fd(), false, &options.attr).step(what)?;
    }
    if options.recursive_attr != MountAttr::default() {
        mount_setattr(target.as_fd(), true, &options.recursive_attr).step(what)?;
    }
    if let Some((kind, recursive)) = options.propagation {
        mount_setattr(target.as_fd(), recursive, &MountAttr::propagation(kind)).step(what)?;
    }
    if options.data.is_empty() {
        return Ok(());
    }
    if options.bind.is_some() {
        return Err(StepError::rule(format!(
            "the remount of the bind mount at {} has no option {}",
            destination.display(),
            options.data.first().map_or("", |(key, _)| key)
        )));
    }
    let flags = FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC;
    let context = fspick(target, "", flags).step(what)?;
    configure(&context, &options.data).step(what)?;
    fsconfig_reconfigure(&context).step(what)
}
