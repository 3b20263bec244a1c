//! create: from a bundle to a sandbox that only waits to be started.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use crate::cgroup::{Cgroup, CgroupError, CgroupManager};
use crate::gate::{self, Message};
use crate::init::{self, InitPlan};
use crate::namespaces::{BornInto, NamespacePlan, Target};
use crate::process::plan::{ProcessError, ProcessPlan};
use crate::process::stdio::Stdio;
use crate::rootfs::bind::clone_tree;
use crate::rootfs::masks::NullDevice;
use crate::rootfs::plan::MountPlan;
use crate::rootfs::{devices, plan};
use crate::spec::{self, SpecError};
use crate::start::Created;
use crate::step::{Step, StepError};
use crate::sys::clone::{Side, fork_into};
use crate::sys::mount::{MountAttr, mount_setattr};
use crate::{procfs, sysctl};

/// What a sandbox is made from.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    /// Its name; the cgroup is `gaufre/<id>` where the configuration names none.
    pub id: &'a str,
    /// The configuration.
    pub spec: &'a Spec,
    /// The bundle's directory: relative paths of the configuration are below it.
    pub bundle: &'a Path,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// Its standard streams.
    pub stdio: Stdio<'a>,
    /// Descriptors that the workload gets as 3, 4 and so on.
    pub preserve_fds: &'a [BorrowedFd<'a>],
    /// A listening SEQPACKET socket on which another process starts the sandbox (see [`crate::start_at`]). None: the
    /// caller starts it through [`Created::start`], and a sandbox whose caller ends before that ends too.
    pub start_socket: Option<BorrowedFd<'a>>,
    /// What a caller may wish for beside the configuration.
    pub options: CreateOptions,
}

/// What a caller may wish for beside the configuration. The default is what everybody should have.
#[derive(Clone, Copy, Debug, Default)]
pub struct CreateOptions {
    /// Who makes the cgroup, if anybody.
    pub cgroup_manager: CgroupManager,
    /// Enter the root by chroot(2), for a host whose own root is the initial ramdisk, where pivot_root(2) cannot be.
    pub no_pivot: bool,
    /// Leave the workload in the caller's session keyring.
    pub no_new_keyring: bool,
}

/// Where the root file system comes from.
#[derive(Debug)]
pub enum Rootfs {
    /// The directory `root.path` of the configuration.
    Path,
    /// A detached mount (fsmount(2), open_tree(2)), which belongs to the sandbox from here on.
    Mount(OwnedFd),
}

/// Why a sandbox could not be made. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The configuration asks for something that is not honoured.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// `process` or `linux.seccomp` is wrong.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A step failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The cgroup could not be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The calling process has other threads.
    #[error("a sandbox can only be made by a process without other threads")]
    Threads,
    /// The new process died without a word.
    #[error("the new process of sandbox {id} died before it was complete")]
    Died {
        /// The sandbox.
        id: String,
    },
}

/// Makes the sandbox: its cgroup with limits, its namespaces, mounts, devices and terminal. Its process waits, under
/// the workload's identity, to be started.
///
/// # Errors
/// See [`CreateError`]. A failure leaves no process, cgroup or mount behind.
pub fn create(request: CreateRequest<'_>) -> Result<Created, CreateError> {
    if !crate::threads::is_single() {
        return Err(CreateError::Threads);
    }
    spec::check(request.spec)?;
    let cgroup = cgroup_of(request.id, request.spec, request.options.cgroup_manager)?;
    // The root comes first: mounts are listed to the container in the order in which they were made.
    let rootfs = open_root(request.rootfs, request.spec, request.bundle)?;
    let mut parts = Parts::prepare(request.spec, request.bundle, request.stdio, rootfs)?;
    parts.process.new_keyring = !request.options.no_new_keyring;
    let linux = request.spec.linux().as_ref();
    if cgroup.exists() && !cgroup.procs()?.is_empty() {
        return Err(StepError::rule(format!("the cgroup {} is in use", cgroup.name().display())).into());
    }
    cgroup.create(linux.and_then(|linux| linux.resources().as_ref()))?;
    let ends =
        Ends { stdio: request.stdio, preserve_fds: request.preserve_fds, start_socket: request.start_socket };
    let made = spawn(request.id, request.spec, parts, &cgroup, ends, request.options.no_pivot);
    if made.is_err() {
        // The process, if there was one, is dead and reaped. The first failure is the one to report.
        let _ = cgroup.kill_all();
        let _ = cgroup.delete();
    }
    let (pid, pidfd, channel, console_master) = made?;
    Ok(Created::new(pid, pidfd, channel, console_master, cgroup))
}

/// The group that `spec` names: known before anything is made, so that a caller can note it down first.
///
/// # Errors
/// See [`Cgroup::at`].
pub fn cgroup_of(id: &str, spec: &Spec, manager: CgroupManager) -> Result<Cgroup, CgroupError> {
    Cgroup::managed(manager, id, spec)
}

/// What is decided and opened before anything is made.
struct Parts {
    rootfs: OwnedFd,
    namespaces: NamespacePlan,
    mounts: Vec<MountPlan>,
    devices: Option<Vec<devices::DevicePlan>>,
    sysctls: Vec<sysctl::SysctlPlan>,
    process: ProcessPlan,
    root_propagation: Option<(u64, bool)>,
    null: NullDevice,
    proc: OwnedFd,
}

impl Parts {
    fn prepare(spec: &Spec, bundle: &Path, stdio: Stdio<'_>, rootfs: OwnedFd) -> Result<Self, CreateError> {
        let linux = spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?;
        let process = spec.process().as_ref().ok_or(SpecError::Missing { field: "process" })?;
        check_terminal(process.terminal() == Some(true), &stdio)?;
        let namespaces = NamespacePlan::new(linux.namespaces().as_deref().unwrap_or_default())?;
        let named = spec.hostname().is_some() || spec.domainname().is_some();
        if named && !namespaces.has(LinuxNamespaceType::Uts) {
            return Err(StepError::rule("hostname needs a uts namespace: it would be the host's").into());
        }
        let mounts = spec.mounts().as_deref().unwrap_or_default();
        let mounts: Vec<MountPlan> =
            mounts.iter().map(|mount| MountPlan::new(mount, bundle)).collect::<Result<_, _>>()?;
        let dev_is_bound = mounts.iter().any(|mount| {
            mount.destination == Path::new("/dev") && matches!(mount.source, plan::MountSource::Bind(_))
        });
        let asked = linux.devices().as_deref().unwrap_or_default();
        if dev_is_bound && !asked.is_empty() {
            return Err(StepError::rule(
                "linux.devices cannot be made in a /dev that is bound from the host",
            )
            .into());
        }
        Ok(Self {
            rootfs,
            mounts,
            devices: if dev_is_bound { None } else { Some(devices::plan(asked)?) },
            sysctls: sysctl::plan(linux.sysctl().as_ref(), &namespaces)?,
            namespaces,
            process: ProcessPlan::new(process, linux.seccomp().as_ref(), linux.personality().as_ref())?,
            root_propagation: linux.rootfs_propagation().as_deref().map(root_propagation).transpose()?,
            null: NullDevice::open()?,
            proc: procfs::open()?,
        })
    }
}

pub(crate) fn check_terminal(asked: bool, stdio: &Stdio<'_>) -> Result<(), StepError> {
    match (asked, stdio) {
        (true, Stdio::Streams(_)) => Err(StepError::rule("process.terminal is set, but streams are given")),
        (false, Stdio::Terminal) => {
            Err(StepError::rule("a terminal is asked for, but process.terminal is not set"))
        }
        _ => Ok(()),
    }
}

fn root_propagation(word: &str) -> Result<(u64, bool), StepError> {
    match word {
        "" | "private" | "rprivate" => Ok((libc::MS_PRIVATE, false)),
        "slave" | "rslave" => Ok((libc::MS_SLAVE, word.starts_with('r'))),
        "shared" | "rshared" => Ok((libc::MS_SHARED, word.starts_with('r'))),
        "unbindable" | "runbindable" => Ok((libc::MS_UNBINDABLE, word.starts_with('r'))),
        _ => Err(StepError::rule(format!("linux.rootfsPropagation: {word} is not a propagation"))),
    }
}

type Made = (Pid, OwnedFd, OwnedFd, Option<OwnedFd>);

/// The descriptors of the caller that the new process uses.
#[derive(Clone, Copy)]
struct Ends<'a> {
    stdio: Stdio<'a>,
    preserve_fds: &'a [BorrowedFd<'a>],
    start_socket: Option<BorrowedFd<'a>>,
}

fn spawn(
    id: &str,
    spec: &Spec,
    parts: Parts,
    cgroup: &Cgroup,
    ends: Ends<'_>,
    no_pivot: bool,
) -> Result<Made, CreateError> {
    let root = spec.root().as_ref();
    let linux = spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?;
    let Parts { rootfs, namespaces, mounts, devices, sysctls, process, root_propagation, null, proc } = parts;
    let plan = InitPlan {
        cgroup,
        entrance: cgroup.entrance()?,
        rootfs,
        root_read_only: root.and_then(oci_spec::runtime::Root::readonly).unwrap_or(false),
        root_propagation,
        no_pivot,
        mounts,
        devices,
        masked: linux.masked_paths().as_deref().unwrap_or_default(),
        read_only: linux.readonly_paths().as_deref().unwrap_or_default(),
        null,
        proc,
        sysctls,
        hostname: spec.hostname().as_deref(),
        domainname: spec.domainname().as_deref(),
        process,
        stdio: ends.stdio,
        preserved: ends.preserve_fds,
        namespaces,
    };
    let (ours, theirs) = gate::pair().step(|| "could not make a channel")?;
    let gate = ends.start_socket.map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, 3)).transpose();
    let gate = gate.step(|| "could not use the start socket")?;
    let born_into =
        plan.namespaces.pid.as_ref().map(|pid| BornInto::enter(&Target::Namespace(pid))).transpose()?;
    let entrance = plan.entrance.unified.as_ref().map(AsFd::as_fd);
    let side =
        fork_into(plan.namespaces.clone_flags, entrance).step(|| "could not make the sandbox's process")?;
    let (pid, pidfd) = match side {
        Side::Parent { pid, pidfd } => (pid, pidfd),
        Side::Child => {
            drop(ours);
            // Going back is for the runtime only: children of init are born where init was.
            std::mem::forget(born_into);
            init::run(plan, theirs, gate)
        }
    };
    drop(born_into);
    drop(theirs);
    let reason = match gate::receive(ours.as_fd()).step(|| "could not hear from the sandbox's process") {
        Ok(Message::Ready(master)) => return Ok((pid, pidfd, ours, master)),
        Ok(Message::Failed(error)) => error.into(),
        Ok(_) => CreateError::Died { id: id.to_owned() },
        Err(error) => error.into(),
    };
    crate::wait::kill_and_reap(pidfd.as_fd());
    Err(reason)
}

fn open_root(rootfs: Rootfs, spec: &Spec, bundle: &Path) -> Result<OwnedFd, CreateError> {
    match rootfs {
        Rootfs::Mount(mount) => Ok(mount),
        Rootfs::Path => {
            let root = spec.root().as_ref().ok_or(SpecError::Missing { field: "root" })?;
            Ok(detach_root(&bundle.join(root.path()))?)
        }
    }
}

/// A private copy of the directory and all that is mounted below it, as a detached mount.
fn detach_root(path: &Path) -> Result<OwnedFd, StepError> {
    let what = || format!("the root file system {} cannot be used", path.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).step(what)?;
    let tree = clone_tree(dir, true).step(what)?;
    mount_setattr(tree.as_fd(), true, &MountAttr::propagation(libc::MS_PRIVATE)).step(what)?;
    Ok(tree)
}
