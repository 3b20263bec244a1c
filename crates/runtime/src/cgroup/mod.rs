//! The sandbox's control group, on cgroup v1, v2 and hybrid hosts alike.
//!
//! A [`Cgroup`] is a name and the directories that belong to it, one for v2 or one for each v1 hierarchy. It can be
//! stored (serde) and used again by another process: nothing but the directories is its state.

mod below;
mod control;
mod convert;
mod devices;
mod ebpf;
mod error;
mod files;
mod freezer;
mod layout;
mod manager;
mod oom;
mod owner;
mod remove;
mod setting;
mod stats;
mod systemd;
mod v1;
mod v2;

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use files::Files;

pub use devices::default_rules as default_device_rules;
pub use error::CgroupError;
pub use layout::Layout;
pub use manager::CgroupManager;
pub use oom::OomWatch;
pub use stats::{
    BlockIo, BlockIoEntry, Cpu, CpuSet, CpuUsage, HugePages, Memory, MemoryEntry, MemoryEvents, Pids,
    Pressure, PressureLine, Stats, Throttling,
};
pub use systemd::SystemdError;

/// A control group of one sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The name below each hierarchy's root, without a leading slash.
    name: PathBuf,
    /// The v2 directory, on v2 and hybrid hosts.
    unified: Option<PathBuf>,
    /// The v1 directories with their controllers, on v1 and hybrid hosts.
    legacy: Vec<Hierarchy>,
    /// The scope that it is the group of, where systemd makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<systemd::Scope>,
    /// What marks the group as this sandbox's; None: its name does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

/// One v1 hierarchy's directory of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hierarchy {
    controllers: Vec<String>,
    dir: PathBuf,
}

/// Descriptors through which a new process enters a group: made before the clone, used after it.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// For `CLONE_INTO_CGROUP`.
    pub(crate) unified: Option<OwnedFd>,
    /// The v1 `cgroup.procs` files, open for writing.
    pub(crate) legacy: Vec<OwnedFd>,
    /// Whether the new process has to wait until it was taken in ([`Cgroup::admit`]).
    pub(crate) awaits: bool,
}

impl Cgroup {
    /// Names the group `path`, making nothing. For a caller who may not write to the hierarchies' roots it is below the
    /// caller's own group, in those hierarchies where that one is the caller's to write; where it is in none there is
    /// no group, and a limit is refused by its name.
    ///
    /// # Errors
    /// A path with `..`, or a host without any cgroup file system at /sys/fs/cgroup.
    pub fn at(path: &Path) -> Result<Self, CgroupError> {
        let layout = Layout::detect()?;
        let name: PathBuf = path.strip_prefix("/").unwrap_or(path).to_owned();
        let plain = name.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain || name.as_os_str().is_empty() {
            return Err(CgroupError::Name { path: path.to_owned() });
        }
        let base = layout::writable_base(&layout);
        let Some(base) = base else { return Ok(Self::none()) };
        let legacy = if base.as_os_str().is_empty() { layout.legacy().collect() } else { Vec::new() };
        let name = base.join(name);
        let unified = layout.unified().map(|root| root.join(&name));
        let legacy = legacy
            .into_iter()
            .map(|(controllers, root)| Hierarchy { controllers: controllers.to_vec(), dir: root.join(&name) })
            .collect();
        Ok(Self { name, unified, legacy, scope: None, owner: None })
    }

    /// Makes the group's directories and applies `resources`, so that limits hold from the first process on.
    /// What was made is removed again if anything fails.
    ///
    /// # Errors
    /// A directory that cannot be made, or a limit that cannot be applied: the error names the field.
    pub fn create(&self, resources: Option<&LinuxResources>) -> Result<(), CgroupError> {
        self.make(resources, |group, resources| group.apply(resources, false))
    }

    /// As [`Cgroup::create`], but for the program of the device rules on v2: the kernel takes as long to verify it as to
    /// make all of a sandbox's mounts, and nothing needs it before the workload is there.
    pub(crate) fn create_before_devices(
        &self,
        resources: Option<&LinuxResources>,
    ) -> Result<(), CgroupError> {
        self.make(resources, |group, resources| group.apply_limits(resources, false))
    }

    /// What [`Cgroup::create_before_devices`] leaves to be done. A scope is complete when its process was admitted.
    pub(crate) fn control_devices(&self, resources: Option<&LinuxResources>) -> Result<(), CgroupError> {
        match resources {
            Some(resources) if self.scope.is_none() => self.apply_devices(resources, false),
            _ => Ok(()),
        }
    }

    fn make(
        &self,
        resources: Option<&LinuxResources>,
        apply: fn(&Self, &LinuxResources) -> Result<(), CgroupError>,
    ) -> Result<(), CgroupError> {
        if self.scope.is_some() {
            // It is made around its first process. What is wrong with the limits shows now.
            return resources.map_or(Ok(()), |resources| v2::settings(resources).map(drop));
        }
        let made = self
            .make_dirs(resources)
            .map(|()| self.mark())
            .and_then(|()| resources.map_or(Ok(()), |resources| apply(self, resources)));
        if made.is_err() {
            // The first failure is the one to report; an empty group left over is found by the next delete.
            let _ = self.delete();
        }
        made
    }

    /// The parent of the group may be removed while we make it, by one who found it empty: that one is done in a
    /// moment, and a further try succeeds.
    fn make_dirs(&self, resources: Option<&LinuxResources>) -> Result<(), CgroupError> {
        let mut tries_left = 10;
        loop {
            match self.try_make_dirs(resources) {
                Err(CgroupError::Make { source, .. })
                    if source.kind() == ErrorKind::NotFound && tries_left > 0 =>
                {
                    tries_left -= 1;
                }
                made => return made,
            }
        }
    }

    fn try_make_dirs(&self, resources: Option<&LinuxResources>) -> Result<(), CgroupError> {
        if let Some(dir) = &self.unified {
            v2::make(dir, &self.name, self.legacy.is_empty(), resources)?;
        }
        for hierarchy in &self.legacy {
            v1::make(&hierarchy.dir, &self.name, &hierarchy.controllers)?;
        }
        Ok(())
    }

    /// Changes the limits of an existing group: what `resources` does not name stays as it is.
    ///
    /// # Errors
    /// As for [`Cgroup::create`]. What was applied before the failure is taken back, where it was one value in one file.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if let (Some(scope), Some(dir)) = (&self.scope, &self.unified) {
            if let Some(memory) = resources.memory() {
                v2::check_usage(dir, memory)?;
            }
            v2::settings(resources)?;
            scope.update(resources)?;
        }
        self.apply(resources, true)
    }

    /// Whether the limits can be expressed at all, on either version of cgroups.
    ///
    /// # Errors
    /// What neither version has, by the field's name.
    pub(crate) fn check(resources: &LinuxResources) -> Result<(), CgroupError> {
        let v2 = v2::settings(resources).map(drop);
        let v1 = v1::settings(resources).map(drop);
        if let Some(rules) = resources.devices() {
            ebpf::check(rules)?;
        }
        v2.or(v1)
    }

    /// With `replace` they take the place of earlier ones.
    fn apply(&self, resources: &LinuxResources, replace: bool) -> Result<(), CgroupError> {
        self.apply_limits(resources, replace)?;
        self.apply_devices(resources, replace)
    }

    fn apply_limits(&self, resources: &LinuxResources, replace: bool) -> Result<(), CgroupError> {
        let mut settings = if self.is_v2() { v2::settings(resources)? } else { v1::settings(resources)? };
        if self.dirs().next().is_none() {
            // Without a group there is no control of devices. What could make nodes may not: `leaves_devices_open`.
            settings.retain(|setting| setting.controller != "devices");
        }
        if let (true, Some(dir), Some(memory)) = (self.is_v2(), &self.unified, resources.memory()) {
            v2::check_usage(dir, memory)?;
        }
        setting::write_all(self, &settings, replace)
    }

    /// Whether nobody sees to rules that keep devices from the sandbox: it has no group.
    pub(crate) fn leaves_devices_open(&self, resources: Option<&LinuxResources>) -> bool {
        let rules = resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
        self.dirs().next().is_none() && rules.iter().any(|rule| !rule.allow())
    }

    /// The device rules on v2; v1 has them among the limits.
    fn apply_devices(&self, resources: &LinuxResources, replace: bool) -> Result<(), CgroupError> {
        if let (true, Some(dir), Some(rules)) = (self.is_v2(), &self.unified, resources.devices()) {
            ebpf::attach(dir, rules, replace)?;
        }
        Ok(())
    }

    /// Opens what a new process needs to enter the group.
    pub(crate) fn entrance(&self) -> Result<Entrance, CgroupError> {
        let open = |path: &Path, flags: OFlags| {
            rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())
                .map_err(|source| CgroupError::Enter { path: path.to_owned(), source: source.into() })
        };
        let awaits = self.scope.is_some() && !self.exists();
        let dir = self.unified.as_deref().filter(|_| !awaits);
        let unified = dir.map(|dir| open(dir, OFlags::PATH | OFlags::DIRECTORY)).transpose()?;
        let legacy =
            self.legacy.iter().map(|hierarchy| open(&hierarchy.dir.join("cgroup.procs"), OFlags::WRONLY));
        Ok(Entrance { unified, legacy: legacy.collect::<Result<_, _>>()?, awaits })
    }

    /// The group's name below each hierarchy's root.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The directory that holds the files of `controller` (`"memory"`, `"pids"`...), where this host has it.
    pub fn controller_dir(&self, controller: &str) -> Option<&Path> {
        if self.is_v2() {
            return self.unified.as_deref();
        }
        self.legacy
            .iter()
            .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
            .map(|hierarchy| hierarchy.dir.as_path())
    }

    /// Whether all controllers are on cgroup v2.
    pub fn is_v2(&self) -> bool {
        self.unified.is_some() && self.legacy.is_empty()
    }

    /// Whether there is a v2 hierarchy beside v1 ones.
    pub(crate) fn is_hybrid(&self) -> bool {
        self.unified.is_some() && !self.legacy.is_empty()
    }

    /// The controllers of each v1 hierarchy.
    pub(crate) fn legacy_controllers(&self) -> impl Iterator<Item = &[String]> {
        self.legacy.iter().map(|hierarchy| hierarchy.controllers.as_slice())
    }

    /// The directory in the v1 hierarchy with these controllers; None: in the v2 hierarchy.
    pub(crate) fn dir_of(&self, controllers: Option<&[String]>) -> Option<&Path> {
        let Some(controllers) = controllers else { return self.unified.as_deref() };
        self.legacy
            .iter()
            .find(|hierarchy| hierarchy.controllers == controllers)
            .map(|hierarchy| hierarchy.dir.as_path())
    }

    /// Whether any of the group's directories exists.
    pub fn exists(&self) -> bool {
        self.dirs().any(Path::exists)
    }

    /// The group's directories, v2's first.
    fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.unified
            .iter()
            .map(PathBuf::as_path)
            .chain(self.legacy.iter().map(|hierarchy| hierarchy.dir.as_path()))
    }

    /// The processes in the group and its sub-groups. A group that is gone has none.
    ///
    /// # Errors
    /// The group's files cannot be read.
    pub fn procs(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        for dir in self.dirs() {
            collect_procs(dir, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }
}

/// The processes in `dir` and, where it has sub-groups, in those.
fn collect_procs(dir: &Path, pids: &mut Vec<i32>) -> Result<(), CgroupError> {
    let found = Files::open(dir).and_then(|files| files.text("cgroup.procs"));
    match found {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
        // A threaded v2 sub-group refuses to list processes; they are listed by its ancestor.
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
        Err(source) => return Err(CgroupError::Read { path: dir.to_owned(), source }),
    }
    children(dir).into_iter().try_for_each(|child| collect_procs(&child, pids))
}

/// The sub-groups of a group: most have none, which the count of links says without a look through all its files.
fn children(dir: &Path) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    if fs::symlink_metadata(dir).is_ok_and(|meta| meta.nlink() <= 2) {
        return Vec::new();
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}
