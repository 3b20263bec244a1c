//! create: from a bundle to a sandbox that only waits to be started.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Spec};
use rustix::process::Pid;

use crate::birth::{self, Fork};
use crate::cgroup::{Cgroup, CgroupError, CgroupManager};
use crate::gate::{self, Message};
use crate::hooks::{HookError, Hooks, Stage};
use crate::init::{self, InitPlan};
use crate::namespaces::in_first_user_namespace;
use crate::net_devices::Moved;
use crate::parts::Parts;
use crate::process::plan::{ProcessError, ProcessPlan};
use crate::process::stdio::Stdio;
use crate::rootfs::bind;
use crate::rootfs::lent::LentRoot;
use crate::seccomp::Listener;
use crate::spec::{self, SpecError};
use crate::start::Created;
use crate::state::{OciState, Status};
use crate::step::{Step, StepError};

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
    /// The same. A configuration without a mount namespace is honoured then: the root file system is mounted in ours at
    /// this directory, which is made, and from which the caller unmounts it (`MNT_DETACH`) and which it removes when the
    /// sandbox has ended, or could not be made.
    PathThrough(PathBuf),
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
    /// The caller could not note the cgroup down.
    #[error("the container's cgroup could not be noted down")]
    Noted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The calling process has other threads.
    #[error("a sandbox can only be made by a process without other threads")]
    Threads,
    /// The new process died without a word.
    #[error("the new process of the container died before it was complete")]
    Died,
}

/// Makes the sandbox: its cgroup with limits, its namespaces, mounts, devices and terminal. Its process waits, under
/// the workload's identity, to be started.
///
/// # Errors
/// See [`CreateError`]. A failure leaves no process, cgroup or mount behind.
pub fn create(request: CreateRequest<'_>) -> Result<Created, CreateError> {
    make(request, |_| Ok(()), |_| ())
}

/// As [`create`], for a caller with something else to do: `meanwhile` is done while the sandbox's process makes its
/// mounts, and gets its pidfd. It may fork, and should take no longer than a millisecond.
///
/// # Errors
/// See [`CreateError`].
pub fn create_meanwhile(
    request: CreateRequest<'_>,
    meanwhile: impl FnOnce(BorrowedFd<'_>),
) -> Result<Created, CreateError> {
    make(request, |_| Ok(()), meanwhile)
}

/// As [`create`], for a caller that notes down what is made, lest something of it outlive a killed runtime: `note` gets
/// the cgroup when it is known to be nobody else's, just before it is made. Until then nothing must be deleted by its
/// name.
///
/// # Errors
/// See [`CreateError`], [`CreateError::Noted`] included.
pub fn create_noting(
    request: CreateRequest<'_>,
    note: impl FnOnce(&Cgroup) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
) -> Result<Created, CreateError> {
    make(request, note, |_| ())
}

fn make(
    request: CreateRequest<'_>,
    note: impl FnOnce(&Cgroup) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    meanwhile: impl FnOnce(BorrowedFd<'_>),
) -> Result<Created, CreateError> {
    if !crate::threads::is_single() {
        return Err(CreateError::Threads);
    }
    spec::check(request.spec)?;
    let mut cgroup = cgroup_of(request.id, request.spec, request.options.cgroup_manager)?;
    cgroup.begin_ownership();
    let hooks = Hooks::of(request.spec, request.id, request.bundle);
    let mut parts = Parts::prepare(request.spec, request.bundle, request.stdio, request.rootfs, &hooks)?;
    parts.process.new_keyring = !request.options.no_new_keyring;
    connect_agent(&mut parts.process, request.id, request.spec, request.bundle)?;
    let resources = request.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let on_host = !parts.namespaces.has(LinuxNamespaceType::User) && in_first_user_namespace();
    if on_host && cgroup.leaves_devices_open(resources) {
        parts.process.capabilities.give_up_device_nodes();
    }
    if cgroup.exists() && !cgroup.procs()?.is_empty() {
        return Err(StepError::rule(format!("the cgroup {} is in use", cgroup.name().display())).into());
    }
    note(&cgroup).map_err(CreateError::Noted)?;
    cgroup.create_before_devices(resources)?;
    let ends =
        Ends { stdio: request.stdio, preserve_fds: request.preserve_fds, start_socket: request.start_socket };
    let mut hooks_ran = false;
    let aside = Aside { hooks_ran: &mut hooks_ran, meanwhile };
    let made = spawn(request.spec, parts, &cgroup, ends, request.options.no_pivot, (&hooks, aside));
    if made.is_err() {
        // The process, if there was one, is dead and reaped. The first failure is the one to report.
        let _ = cgroup.kill_all();
        let _ = cgroup.delete();
        if hooks_ran {
            hooks.run_poststop();
        }
    }
    let Made { pid, pidfd, channel, console_master, net_devices, lent_root } = made?;
    Ok(Created { pid, pidfd, channel, console_master, cgroup, hooks, net_devices, lent_root })
}

/// Connects the process to the agent that its filter needs, if it needs any, with the state that the sandbox will have
/// while it waits for its start.
fn connect_agent(process: &mut ProcessPlan, id: &str, spec: &Spec, bundle: &Path) -> Result<(), StepError> {
    let Some(agent) = process.agent() else { return Ok(()) };
    let annotations = spec.annotations().iter().flatten();
    let annotations = annotations.map(|(key, value)| (key.clone(), value.clone())).collect();
    let state = OciState::new(id, 0, Status::Created, bundle, &annotations);
    process.listener = Some(Listener::agent(agent.connect(&state)?)?);
    Ok(())
}

/// The group that `spec` names: known before anything is made, so that a caller can note it down first.
///
/// # Errors
/// See [`Cgroup::at`].
pub fn cgroup_of(id: &str, spec: &Spec, manager: CgroupManager) -> Result<Cgroup, CgroupError> {
    Cgroup::managed(manager, id, spec)
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

/// What the runtime has of a sandbox that is complete.
struct Made {
    pid: Pid,
    pidfd: OwnedFd,
    channel: OwnedFd,
    console_master: Option<OwnedFd>,
    net_devices: Moved,
    lent_root: Option<LentRoot>,
}

/// The descriptors of the caller that the new process uses.
#[derive(Clone, Copy)]
struct Ends<'a> {
    stdio: Stdio<'a>,
    preserve_fds: &'a [BorrowedFd<'a>],
    start_socket: Option<BorrowedFd<'a>>,
}

/// What the runtime does beside the steps of the new process.
struct Aside<'a, F> {
    /// Set once a hook has run.
    hooks_ran: &'a mut bool,
    /// What the caller does while the mounts are made.
    meanwhile: F,
}

fn spawn<F: FnOnce(BorrowedFd<'_>)>(
    spec: &Spec,
    parts: Parts,
    cgroup: &Cgroup,
    ends: Ends<'_>,
    no_pivot: bool,
    (hooks, aside): (&Hooks, Aside<'_, F>),
) -> Result<Made, CreateError> {
    let root = spec.root().as_ref();
    let linux = spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?;
    let Parts { rootfs, root_path, namespaces, mounts, devices, sysctls, net_devices, process, .. } = parts;
    let Parts { root_propagation, null, proc, .. } = parts;
    let lent_root = LentRoot::of(&namespaces, &rootfs, proc.as_fd())?;
    let plan = InitPlan {
        cgroup,
        entrance: cgroup.entrance()?,
        rootfs,
        root_path,
        hooks,
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
        net_devices,
        hostname: spec.hostname().as_deref(),
        domainname: spec.domainname().as_deref(),
        process,
        stdio: ends.stdio,
        preserved: ends.preserve_fds,
        namespaces,
    };
    let channel = gate::pair().step(|| "could not make a channel")?;
    let gate = ends.start_socket.map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, 3)).transpose();
    let gate = gate.step(|| "could not use the start socket")?;
    let group = plan.entrance.unified.as_ref().map(AsFd::as_fd);
    let (fork, ours) = match birth::fork(&plan.namespaces, group, channel)? {
        (Fork::Child, theirs) => init::run(plan, theirs, gate),
        born => born,
    };
    let (pid, pidfd) = birth::complete(fork, ours.as_fd(), plan.proc.as_fd())?;
    let mut moved = Moved::default();
    let process = (pid, pidfd.as_fd());
    match see_through(&plan, linux.resources().as_ref(), process, ours.as_fd(), (aside, &mut moved)) {
        Ok(console_master) => {
            Ok(Made { pid, pidfd, channel: ours, console_master, net_devices: moved, lent_root })
        }
        Err(error) => {
            moved.put_back();
            crate::wait::kill_and_reap(pidfd.as_fd());
            lent_root.into_iter().for_each(LentRoot::take_back);
            Err(error)
        }
    }
}

/// Does the runtime's part until the sandbox is complete; gives its console's master.
fn see_through<F: FnOnce(BorrowedFd<'_>)>(
    plan: &InitPlan<'_>,
    resources: Option<&LinuxResources>,
    (pid, pidfd): (Pid, BorrowedFd<'_>),
    ours: BorrowedFd<'_>,
    (Aside { hooks_ran, meanwhile }, moved): (Aside<'_, F>, &mut Moved),
) -> Result<Option<OwnedFd>, CreateError> {
    birth::set_up(plan, resources, pid, moved)?;
    if plan.awaits_set_up() {
        gate::send_go(ours).step(|| "the sandbox's process is gone")?;
    }
    // While the new process makes its mounts.
    plan.cgroup.control_devices(resources)?;
    meanwhile(pidfd);
    loop {
        match gate::receive(ours).step(|| "could not hear from the sandbox's process")? {
            Message::Ready(master) => return Ok(master),
            Message::Failed(error) => return Err(error.into()),
            Message::WantsClones => bind::hand_over_clones(&plan.mounts, ours)?,
            Message::Paused => {
                *hooks_ran = true;
                plan.hooks.run(Stage::Prestart, pid.as_raw_nonzero().get())?;
                plan.hooks.run(Stage::CreateRuntime, pid.as_raw_nonzero().get())?;
                gate::send_go(ours).step(|| "the sandbox's process is gone")?;
            }
            _ => return Err(CreateError::Died),
        }
    }
}
