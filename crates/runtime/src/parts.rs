//! What is decided and opened before anything of a sandbox is made.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespaceType, Process, Spec};
use rustix::fs::Mode;

use crate::create::{CreateError, Rootfs, check_terminal};
use crate::hooks::Hooks;
use crate::landlock::LandlockPlan;
use crate::namespaces::{IdView, NamespacePlan};
use crate::net_devices::NetDevicePlan;
use crate::process::memory_policy::MemoryPolicyPlan;
use crate::process::plan::{ProcessError, ProcessPlan};
use crate::process::stdio::Stdio;
use crate::rootfs::masks::NullDevice;
use crate::rootfs::plan::{MountPlan, MountSource, Preparation};
use crate::rootfs::source::RootSource;
use crate::rootfs::{devices, propagation};
use crate::spec::SpecError;
use crate::step::{Step, StepError};
use crate::{labels, net_devices, procfs, sysctl};

/// The parts of a sandbox to be.
pub(crate) struct Parts {
    pub(crate) rootfs: RootSource,
    /// Where the root has to be attached for hooks to find it, or because the mount namespace is another's or the host's.
    pub(crate) root_path: Option<PathBuf>,
    pub(crate) namespaces: NamespacePlan,
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Option<Vec<devices::DevicePlan>>,
    pub(crate) sysctls: Vec<sysctl::SysctlPlan>,
    pub(crate) net_devices: Vec<NetDevicePlan>,
    pub(crate) process: ProcessPlan,
    pub(crate) root_propagation: Option<(u64, bool)>,
    /// None: to be opened by the sandbox's process.
    pub(crate) null: Option<NullDevice>,
    pub(crate) proc: OwnedFd,
}

impl Parts {
    pub(crate) fn prepare(
        spec: &Spec,
        bundle: &Path,
        stdio: Stdio<'_>,
        rootfs: Rootfs,
        hooks: &Hooks,
    ) -> Result<Self, CreateError> {
        let linux = spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?;
        let process = spec.process().as_ref();
        check_terminal(process.and_then(Process::terminal) == Some(true), &stdio)?;
        hooks.check()?;
        let root_propagation = linux.rootfs_propagation().as_deref().map(propagation::of_root).transpose()?;
        // The root comes first: mounts are listed to the container in the order in which they were made.
        let path = spec.root().as_ref().map(|root| bundle.join(root.path()));
        let (rootfs, host_place) = match (rootfs, &path) {
            (Rootfs::Mount(mount), _) => (RootSource::Tree(mount), None),
            (_, None) => return Err(SpecError::Missing { field: "root" }.into()),
            (rootfs, Some(path)) => {
                let source = RootSource::clone_of(path.clone(), root_propagation)?;
                (source, if let Rootfs::PathThrough(place) = rootfs { Some(place) } else { None })
            }
        };
        let namespaces = NamespacePlan::new(linux)?;
        check_names(spec, &namespaces)?;
        let proc = procfs::open()?;
        let mut shared = Preparation {
            bundle,
            later: rootfs.is_later(),
            maps: namespaces.maps.as_ref(),
            proc: &proc,
            ids: IdView::default(),
            label: labels::mount_label(linux.mount_label().as_deref()),
        };
        let mounts = spec.mounts().iter().flatten().map(|mount| MountPlan::new(mount, &mut shared));
        let mounts: Vec<MountPlan> = mounts.collect::<Result<_, _>>()?;
        let dev_is_bound = mounts.iter().any(|mount| {
            let is_bind = matches!(mount.source, MountSource::Bind(_) | MountSource::BindLater(_));
            is_bind && mount.destination == Path::new("/dev")
        });
        let asked = linux.devices().as_deref().unwrap_or_default();
        if dev_is_bound && !asked.is_empty() {
            return Err(StepError::rule(
                "linux.devices cannot be made in a /dev that is bound from the host",
            )
            .into());
        }
        let plan = process.map_or_else(ProcessPlan::nothing, |process| plan_process(spec, linux, process))?;
        let in_bundle = hooks.need_root_in_bundle() || namespaces.joins(LinuxNamespaceType::Mount);
        let root_path = if namespaces.has(LinuxNamespaceType::Mount) {
            path.filter(|path| in_bundle && path.is_dir())
        } else {
            Some(make_place(host_place)?)
        };
        Ok(Self {
            root_path,
            null: if rootfs.is_later() { None } else { Some(NullDevice::open()?) },
            rootfs,
            mounts,
            devices: if dev_is_bound { None } else { Some(devices::plan(asked)?) },
            sysctls: sysctl::plan(linux.sysctl().as_ref(), &namespaces)?,
            net_devices: net_devices::plan(linux.net_devices().as_ref(), &namespaces)?,
            namespaces,
            process: plan,
            root_propagation,
            proc,
        })
    }
}

/// The directory of [`Rootfs::PathThrough`].
fn make_place(place: Option<PathBuf>) -> Result<PathBuf, StepError> {
    let place = place.ok_or_else(|| StepError::rule("linux.namespaces must have a mount namespace"))?;
    rustix::fs::mkdir(&place, Mode::RWXU).step(|| format!("could not make {}", place.display()))?;
    Ok(place)
}

fn plan_process(spec: &Spec, linux: &Linux, process: &Process) -> Result<ProcessPlan, ProcessError> {
    let mut plan = ProcessPlan::new(process, linux.seccomp().as_ref(), linux.personality().as_ref())?;
    let annotations = spec.annotations().as_ref();
    let landlock = annotations.and_then(|all| all.get(crate::landlock::ANNOTATION));
    plan.landlock = LandlockPlan::of(landlock.map(String::as_str), process)?;
    plan.memory_policy = linux.memory_policy().as_ref().map(MemoryPolicyPlan::new).transpose()?;
    Ok(plan)
}

fn check_names(spec: &Spec, namespaces: &NamespacePlan) -> Result<(), StepError> {
    let named = spec.hostname().is_some() || spec.domainname().is_some();
    if named && !namespaces.has(LinuxNamespaceType::Uts) {
        return Err(StepError::rule("hostname needs a uts namespace: it would be the host's"));
    }
    Ok(())
}
