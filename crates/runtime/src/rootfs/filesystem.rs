//! New instances of file systems: fsopen(2), fsconfig(2), fsmount(2), Linux 5.2.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::bind::{Clones, map_ids};
use super::copy_up::copy_up;
use super::fallback::{VALUE_BYTES_MAX, by_mount, host_mount};
use super::options::MountOptions;
use super::plan::{MountPlan, MountSource};
use super::remount::remount;
use super::root::{Links, Root};
use super::target;
use crate::namespaces::NamespacePlan;
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// Mounts one entry of the plan. Gives the mount back when it must become read-only once everything below it is there.
pub(crate) fn mount(
    root: &Root,
    mut plan: MountPlan,
    cgroups: &super::cgroupfs::View<'_>,
    namespaces: &NamespacePlan,
    clones: &mut Clones<'_>,
) -> Result<Option<OwnedFd>, StepError> {
    let own = plan.open_own()?;
    if matches!(plan.source, MountSource::Remount) {
        // Not where a link of the image leads: it would be another mount that is made writable.
        let target = root.open(&plan.destination, OFlags::PATH, plan.links()).step(|| {
            format!("{} in the container cannot be mounted otherwise", plan.destination.display())
        })?;
        return remount(&target, &plan.destination, &plan.options).map(|()| None);
    }
    let mode = mode_below(root, &plan);
    let target = match &plan.source {
        MountSource::Bind(source) if !source.is_dir => root.ensure_file(&plan.destination, Links::Within)?,
        _ => root.ensure_dir(&plan.destination, plan.links())?,
    };
    target::refuse_root(root, &target, &plan.destination)?;
    target::refuse_kernel_files(&plan, &target)?;
    let MountPlan { destination, source, mut options, ids } = plan;
    match source {
        MountSource::Bind(_) => {
            let tree = own.map_or_else(|| clones.next(), Ok)?;
            attach(&tree, &target).step(|| format!("could not bind to {}", destination.display()))?;
            Ok(None)
        }
        MountSource::Cgroups => {
            super::cgroupfs::mount(&target, &destination, &options, cgroups).map(|()| None)
        }
        MountSource::FileSystem { kind, source } => {
            options.data.extend(mode);
            let new = New { kind: &kind, source: source.as_deref(), options: &options, ids: ids.as_ref() };
            new.mount(root, &target, &destination, namespaces)
        }
        // Both were dealt with above.
        MountSource::BindLater(_) | MountSource::Remount => Ok(None),
    }
}

/// A new instance of a file system, to be mounted.
struct New<'a> {
    kind: &'a str,
    source: Option<&'a Path>,
    options: &'a MountOptions,
    ids: Option<&'a OwnedFd>,
}

impl New<'_> {
    fn mount(
        &self,
        root: &Root,
        target: &OwnedFd,
        destination: &Path,
        namespaces: &NamespacePlan,
    ) -> Result<Option<OwnedFd>, StepError> {
        let what = || format!("could not mount {} at {}", self.kind, destination.display());
        // A read-only tmpfs still has to receive the mount points below it.
        let later = self.kind == "tmpfs" && self.options.attr.set & READ_ONLY != 0;
        let mut attr = self.options.attr;
        if later {
            attr.set &= !READ_ONLY;
        }
        let long = |value: &Option<String>| value.as_ref().is_some_and(|text| text.len() > VALUE_BYTES_MAX);
        if self.options.data.iter().any(|(_, value)| long(value)) {
            let data = &self.options.data;
            let mount = by_mount(root, destination, target, self.kind, self.source, data).step(what)?;
            mount_setattr(mount.as_fd(), false, &MountAttr { set: attr.set, ..MountAttr::default() })
                .step(what)?;
            self.finish(&mount, destination)?;
            return Ok(None);
        }
        let mount = match make(self.kind, self.source, &self.options.data, attr) {
            Err(error @ (Errno::PERM | Errno::ACCESS)) => match host_mount(self.kind, namespaces, attr) {
                Some(mount) => mount.step(what)?,
                None => return Err(error).step(what),
            },
            made => made.step(what)?,
        };
        if self.options.copy_up {
            copy_up(target, &mount, destination)?;
        }
        self.finish(&mount, destination)?;
        attach(&mount, target).step(what)?;
        Ok(later.then_some(mount))
    }

    fn finish(&self, mount: &OwnedFd, destination: &Path) -> Result<(), StepError> {
        if let Some(ids) = self.ids {
            map_ids(mount, false, ids.as_fd()).step(|| {
                format!("{} at {} cannot be mounted with mapped ids", self.kind, destination.display())
            })?;
        }
        match self.options.propagation {
            Some((kind, recursive)) => mount_setattr(mount.as_fd(), recursive, &MountAttr::propagation(kind))
                .step(|| format!("could not set the propagation of {}", destination.display())),
            None => Ok(()),
        }
    }
}

/// The mode for a tmpfs that names none: that of the directory it covers, as every runtime has it.
fn mode_below(root: &Root, plan: &MountPlan) -> Option<(String, Option<String>)> {
    let is_tmpfs = matches!(&plan.source, MountSource::FileSystem { kind, .. } if kind == "tmpfs");
    if !is_tmpfs || plan.options.data.iter().any(|(key, _)| key == "mode") {
        return None;
    }
    let dir = root.open(&plan.destination, OFlags::PATH | OFlags::DIRECTORY, plan.links()).ok()?;
    let mode = rustix::fs::fstat(&dir).ok()?.st_mode & 0o7777;
    Some(("mode".to_owned(), Some(format!("{mode:o}"))))
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
    if attr.set & READ_ONLY != 0 && !is_of_the_kernel(kind) {
        // What is on a device that cannot be written has to be mounted so in the first place.
        fsconfig_set_flag(&context, "ro")?;
    }
    configure(&context, data)?;
    fsconfig_create(&context)?;
    let attr = u32::try_from(attr.set).map_err(|_| rustix::io::Errno::INVAL)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::from_bits_retain(attr))
}

/// Sets the options of a file system.
pub(super) fn configure(context: &OwnedFd, data: &[(String, Option<String>)]) -> rustix::io::Result<()> {
    data.iter().try_for_each(|(key, value)| match value {
        Some(value) => fsconfig_set_string(context, key.as_str(), value.as_str()),
        None => fsconfig_set_flag(context, key.as_str()),
    })
}

/// File systems without a device, whose instances may be shared: only the mount is made read-only.
fn is_of_the_kernel(kind: &str) -> bool {
    matches!(kind, "proc" | "sysfs" | "tmpfs" | "devpts" | "mqueue" | "cgroup" | "cgroup2" | "ramfs")
}

/// Puts a detached mount on the file behind `target`, by descriptor only.
pub(crate) fn attach(mount: impl AsFd, target: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}
