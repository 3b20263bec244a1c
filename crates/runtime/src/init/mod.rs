//! The sandbox's first process, from its birth to the workload.
//!
//! It runs in the copy of the runtime's memory that clone3 made, having been the only thread, so ordinary code works
//! here. It tells the runtime about each failure over the channel (see `gate`) and never returns to the runtime's
//! own code.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;

use crate::cgroup::{Cgroup, Entrance};
use crate::gate::{self, Message, StartGate, send_failed, send_ready};
use crate::hidden::hide_from_others;
use crate::hooks::{Hooks, Stage};
use crate::namespaces::{IdMaps, NamespacePlan};
use crate::net_devices::NetDevicePlan;
use crate::process::plan::ProcessPlan;
use crate::process::stdio::{Kept, Stdio};
use crate::process::{become_workload, console};
use crate::rootfs::bind::Clones;
use crate::rootfs::devices::DevicePlan;
use crate::rootfs::masks::NullDevice;
use crate::rootfs::plan::MountPlan;
use crate::rootfs::source::RootSource;
use crate::rootfs::{cgroupfs, devices, filesystem, masks, pivot, root::Root};
use crate::step::{Step, StepError};
use crate::sys;
use crate::sys::namespace::unshare;
use crate::sysctl::{self, SysctlPlan};

/// Everything that init does, decided and opened before it was born.
#[derive(Debug)]
pub(crate) struct InitPlan<'a> {
    pub(crate) namespaces: NamespacePlan,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) entrance: Entrance,
    pub(crate) rootfs: RootSource,
    /// Where to attach it in the mount namespace; None: over the host's root.
    pub(crate) root_path: Option<PathBuf>,
    pub(crate) hooks: &'a Hooks,
    pub(crate) root_read_only: bool,
    /// `MS_*` and whether it reaches the mounts below.
    pub(crate) root_propagation: Option<(u64, bool)>,
    pub(crate) no_pivot: bool,
    pub(crate) mounts: Vec<MountPlan>,
    /// None: /dev is the host's, by the configuration's own wish, and is left alone.
    pub(crate) devices: Option<Vec<DevicePlan>>,
    pub(crate) masked: &'a [String],
    pub(crate) read_only: &'a [String],
    pub(crate) null: Option<NullDevice>,
    pub(crate) proc: OwnedFd,
    pub(crate) sysctls: Vec<SysctlPlan>,
    pub(crate) net_devices: Vec<NetDevicePlan>,
    pub(crate) hostname: Option<&'a str>,
    pub(crate) domainname: Option<&'a str>,
    pub(crate) process: ProcessPlan,
    pub(crate) stdio: Stdio<'a>,
    pub(crate) preserved: &'a [BorrowedFd<'a>],
}

impl InitPlan<'_> {
    /// Whether the process has to wait, first of all, for what the runtime does for it.
    pub(crate) fn awaits_set_up(&self) -> bool {
        self.entrance.awaits
            || self.namespaces.makes(LinuxNamespaceType::User)
            || !self.net_devices.is_empty()
    }
}

/// Becomes the workload. `setup` is for reporting until the sandbox is complete, `gate` from then on.
pub(crate) fn run(plan: InitPlan<'_>, setup: OwnedFd, gate: Option<OwnedFd>) -> ! {
    let hooks = plan.hooks;
    let (kept, process) = match build(plan, setup.as_fd(), gate.is_some()) {
        Ok(built) => built,
        Err(error) => fail(Some(setup.as_fd()), &error),
    };
    let gate = match gate {
        Some(listener) => match await_leave(&setup) {
            Ok(()) => {
                drop(setup);
                StartGate::Listener(listener)
            }
            Err(error) => fail(None, &error),
        },
        None => StartGate::Channel(setup),
    };
    match gate.wait() {
        Ok(channel) => {
            if let Err(error) = run_hooks(hooks, Stage::StartContainer) {
                fail(Some(channel.as_fd()), &error)
            }
            let (channel, error) = become_workload::execute(&process, kept, channel);
            fail(channel.as_ref().map(AsFd::as_fd), &error)
        }
        Err(error) => fail(None, &error),
    }
}

/// Waits until the runtime has noted this process down. One that nobody knows of must not wait for its start.
fn await_leave(setup: &OwnedFd) -> Result<(), StepError> {
    match gate::receive(setup.as_fd()).step(|| "could not hear from the runtime")? {
        Message::Go => Ok(()),
        _ => Err(StepError::rule("the runtime ended before it noted the sandbox down")),
    }
}

/// Reports a failure and ends.
pub(crate) fn fail(channel: Option<BorrowedFd<'_>>, error: &StepError) -> ! {
    if let Some(channel) = channel {
        // The runtime may be gone; then there is nobody to tell.
        let _ = send_failed(channel, error);
    }
    let not_found = error.kind() == std::io::ErrorKind::NotFound;
    sys::exec::exit_now(if not_found { 127 } else { 126 })
}

fn build(
    plan: InitPlan<'_>,
    channel: BorrowedFd<'_>,
    look_up: bool,
) -> Result<(Kept, ProcessPlan), StepError> {
    enter_namespaces(&plan, channel)?;
    enter_cgroup(&plan.entrance)?;
    if plan.namespaces.new_cgroup {
        unshare(libc::CLONE_NEWCGROUP).step(|| "could not make a cgroup namespace")?;
    }
    rustix::process::setsid().step(|| "could not start a session")?;
    name_host(&plan)?;
    if !plan.namespaces.has(LinuxNamespaceType::User) {
        become_workload::set_oom_score_adj(&plan.process, plan.proc.as_fd())?;
    }

    let InitPlan { rootfs, mounts, devices, null, process, stdio, .. } = plan;
    let own_mounts = plan.namespaces.makes(LinuxNamespaceType::Mount);
    let outer = if own_mounts { pivot::leave_host(plan.proc.as_fd())? } else { None };
    let root = pivot::attach_root(rootfs.tree(plan.root_propagation)?, plan.root_path.as_deref())?;
    if !own_mounts {
        pivot::keep_to_itself(&root)?;
    }
    rustix::process::umask(Mode::empty());
    let view = cgroupfs::View {
        cgroup: plan.cgroup,
        own_namespace: plan.namespaces.has(LinuxNamespaceType::Cgroup),
    };
    let mut clones = Clones::from(channel);
    let mut sealed_later = Vec::new();
    for mount in mounts {
        sealed_later.extend(filesystem::mount(&root, mount, &view, &plan.namespaces, &mut clones)?);
    }
    if let Some(devices) = &devices {
        devices::make_all(&root, devices)?;
        devices::make_links(&root)?;
    }
    let console = open_console(&root, stdio, &process)?;
    if plan.hooks.need_root_in_bundle() {
        gate::send_paused(channel).step(|| "the runtime is gone")?;
        gate::await_go(channel)?;
        run_hooks(plan.hooks, Stage::CreateContainer)?;
    }
    // As late as runc: hooks may have made the network interfaces that the names are about.
    sysctl::apply(&plan.sysctls, plan.proc.as_fd())?;
    masks::make_read_only(&root, plan.read_only)?;
    masks::mask(&root, plan.masked, null)?;
    sealed_later.iter().try_for_each(filesystem::seal)?;
    if plan.root_read_only {
        masks::make_root_read_only(&root)?;
    }
    // A mount namespace that others use is not turned round.
    if plan.no_pivot && own_mounts && (plan.root_path.is_some() || outer.is_some()) {
        pivot::stack_over_host(&root, outer.as_ref())?;
    }
    if plan.no_pivot || !own_mounts {
        pivot::enter_by_chroot(&root)?;
    } else {
        pivot::enter(&root, outer.as_ref())?;
    }
    if let Some((kind, recursive)) = plan.root_propagation {
        pivot::set_propagation(&root, kind, recursive)?;
    }
    let (master, slave) = console.map(|console| (console.master, console.slave)).unzip();
    if let Some(slave) = &slave {
        console::take_control(slave)?;
    }
    let mut kept = Kept::collect(&stdio, slave.as_ref(), plan.preserved)?;
    kept.use_own_null_device()?;
    if let Some(slave) = &slave {
        // The terminal is the container's own: its user owns it, as on any login.
        rustix::fs::fchown(slave, Some(process.uid), None)
            .step(|| "could not give the terminal to its user")?;
    }
    process.labels.apply(plan.proc.as_fd())?;
    become_workload::prepare(&process, &mut kept)?;
    if look_up {
        // Whoever creates now and starts later is told now: the start may be too late for an exit code.
        process.program.look_up()?;
    }
    send_ready(channel, master.as_ref().map(AsFd::as_fd)).step(|| "the runtime is gone")?;
    Ok((kept, process))
}

/// Enters the v1 directories; the v2 one was entered at birth.
pub(crate) fn enter_cgroup(entrance: &Entrance) -> Result<(), StepError> {
    entrance.legacy.iter().try_for_each(|procs| match rustix::io::write(procs, b"0") {
        Ok(_) => Ok(()),
        Err(error) => Err(error).step(|| "could not enter the cgroup"),
    })
}

/// Enters those that are not there from birth on.
fn enter_namespaces(plan: &InitPlan<'_>, channel: BorrowedFd<'_>) -> Result<(), StepError> {
    use LinuxNamespaceType as T;
    let namespaces = &plan.namespaces;
    if plan.awaits_set_up() {
        gate::await_go(channel)?;
    }
    if let Some(time) = &namespaces.new_time {
        // Before the process is hidden: its files in /proc then belong to the host's root.
        time.enter_new(plan.proc.as_fd())?;
    }
    hide_from_others()?;
    if !namespaces.joins_before_birth() {
        namespaces.join()?;
    }
    if namespaces.has(T::User) {
        become_root(namespaces.maps.as_ref())?;
    }
    Ok(())
}

/// Becomes a user whom the user namespace knows: what others make belongs to nobody.
pub(crate) fn become_root(maps: Option<&IdMaps>) -> Result<(), StepError> {
    use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
    let what = || "could not become root in the user namespace";
    let (uid, gid) = maps.map_or((0, 0), IdMaps::first_ids);
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let known = |changed: rustix::io::Result<()>| match changed {
        // A namespace that is joined may have no root.
        Err(Errno::INVAL) if maps.is_none() => Ok(()),
        changed => changed,
    };
    known(set_thread_res_gid(gid, gid, gid)).step(what)?;
    known(set_thread_res_uid(uid, uid, uid)).step(what)
}

fn run_hooks(hooks: &Hooks, stage: Stage) -> Result<(), StepError> {
    // In the container's namespace the process is known by another id than on the host.
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    hooks.run(stage, pid).map_err(StepError::from)
}

fn name_host(plan: &InitPlan<'_>) -> Result<(), StepError> {
    if let Some(name) = plan.hostname {
        rustix::system::sethostname(name.as_bytes())
            .step(|| format!("could not set the host name {name}"))?;
    }
    if let Some(name) = plan.domainname {
        rustix::system::setdomainname(name.as_bytes())
            .step(|| format!("could not set the domain name {name}"))?;
    }
    Ok(())
}

fn open_console(
    root: &Root,
    stdio: Stdio<'_>,
    process: &ProcessPlan,
) -> Result<Option<console::Console>, StepError> {
    match stdio {
        Stdio::Streams(_) => Ok(None),
        Stdio::Terminal => {
            let console = console::open(root, process.console_size)?;
            console::bind_to_dev_console(root, &console)?;
            Ok(Some(console))
        }
    }
}
