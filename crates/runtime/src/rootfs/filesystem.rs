//! New instances of file systems: fsopen(2), fsconfig(2), fsmount(2), Linux 5.2.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::options::MountOptions;
use super::plan::{MountPlan, MountSource};
use super::root::{Links, Root};
use super::target;
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// Mounts one entry of the plan. Gives the mount back when it must become read-only once everything below it is there.
pub(crate) fn mount(
    root: &Root,
    plan: MountPlan,
    cgroups: &super::cgroupfs::View<'_>,
) -> Result<Option<OwnedFd>, StepError> {
    let target = match &plan.source {
        MountSource::Bind(bind) if !bind.is_dir => root.ensure_file(&plan.destination, Links::Within)?,
        _ => root.ensure_dir(&plan.destination, plan.links())?,
    };
    target::refuse_root(root, &target, &plan.destination)?;
    target::refuse_kernel_files(&plan, &target)?;
    let MountPlan { destination, source, options } = plan;
    match source {
        MountSource::Bind(bind) => {
            attach(&bind.tree, &target).step(|| format!("could not bind to {}", destination.display()))?;
            Ok(None)
        }
        MountSource::Cgroups => {
            super::cgroupfs::mount(&target, &destination, &options, cgroups).map(|()| None)
        }
        MountSource::FileSystem { kind, source } => {
            let what = || format!("could not mount {kind} at {}", destination.display());
            // A read-only tmpfs still has to receive the mount points below it.
            let later = kind == "tmpfs" && options.attr.set & READ_ONLY != 0;
            let mut attr = options.attr;
            if later {
                attr.set &= !READ_ONLY;
            }
            let mount = make(&kind, source.as_deref(), &options.data, attr).step(what)?;
            attach(&mount, &target).step(what)?;
            propagate(&mount, &options).step(what)?;
            Ok(later.then_some(mount))
        }
    }
}

const READ_ONLY: u64 = MountAttrFlags::MOUNT_ATTR_RDONLY.bits() as u64;

/// Makes a mount read-only whose contents are complete.
pub(crate) fn seal(mount: impl AsFd) -> Result<(), StepError> {
    let attr = MountAttr { set: READ_ONLY, ..MountAttr::default() };
    mount_setattr(mount.as_fd(), false, &attr).step(|| "could not make a mount read-only")
}

/// Makes a detached mount of a new instance of the file system `kind`.
pub(crate) fn make(
    kind: &str,
    source: Option<&Path>,
    data: &[(String, Option<String>)],
    attr: MountAttr,
) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", source.unwrap_or(Path::new(kind)))?;
    for (key, value) in data {
        match value {
            Some(value) => fsconfig_set_string(&context, key.as_str(), value.as_str())?,
            None => fsconfig_set_flag(&context, key.as_str())?,
        }
    }
    fsconfig_create(&context)?;
    let attr = u32::try_from(attr.set).map_err(|_| rustix::io::Errno::INVAL)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::from_bits_retain(attr))
}

/// Puts a detached mount on the file behind `target`, by descriptor only.
pub(crate) fn attach(mount: impl AsFd, target: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

fn propagate(mount: &OwnedFd, options: &MountOptions) -> rustix::io::Result<()> {
    match options.propagation {
        Some((kind, recursive)) => mount_setattr(mount.as_fd(), recursive, &MountAttr::propagation(kind)),
        None => Ok(()),
    }
}
