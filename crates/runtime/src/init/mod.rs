//! The sandbox's first process, from its birth to the workload.
//!
//! It runs in the copy of the runtime's memory that clone3 made, having been the only thread, so ordinary code works
//! here. It tells the runtime about each failure over the channel (see `gate`) and never returns to the runtime's
//! own code.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::Mode;

use crate::cgroup::{Cgroup, Entrance};
use crate::gate::{self, Message, StartGate, send_failed, send_ready};
use crate::namespaces::NamespacePlan;
use crate::process::plan::ProcessPlan;
use crate::process::stdio::{Kept, Stdio};
use crate::process::{become_workload, console};
use crate::rootfs::devices::DevicePlan;
use crate::rootfs::masks::NullDevice;
use crate::rootfs::plan::MountPlan;
use crate::rootfs::{cgroupfs, devices, filesystem, masks, pivot, root::Root};
use crate::step::{Step, StepError};
use crate::sys;
use crate::sysctl::{self, SysctlPlan};

/// Everything that init does, decided and opened before it was born.
#[derive(Debug)]
pub(crate) struct InitPlan<'a> {
    pub(crate) namespaces: NamespacePlan,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) entrance: Entrance,
    pub(crate) rootfs: OwnedFd,
    pub(crate) root_read_only: bool,
    /// `MS_*` and whether it reaches the mounts below.
    pub(crate) root_propagation: Option<(u64, bool)>,
    pub(crate) no_pivot: bool,
    pub(crate) mounts: Vec<MountPlan>,
    /// None: /dev is the host's, by the configuration's own wish, and is left alone.
    pub(crate) devices: Option<Vec<DevicePlan>>,
    pub(crate) masked: &'a [String],
    pub(crate) read_only: &'a [String],
    pub(crate) null: NullDevice,
    pub(crate) proc: OwnedFd,
    pub(crate) sysctls: Vec<SysctlPlan>,
    pub(crate) hostname: Option<&'a str>,
    pub(crate) domainname: Option<&'a str>,
    pub(crate) process: ProcessPlan,
    pub(crate) stdio: Stdio<'a>,
    pub(crate) preserved: &'a [BorrowedFd<'a>],
}

/// Becomes the workload. `setup` is for reporting until the sandbox is complete, `gate` from then on.
pub(crate) fn run(plan: InitPlan<'_>, setup: OwnedFd, gate: Option<OwnedFd>) -> ! {
    let (kept, process) = match build(plan, setup.as_fd()) {
        Ok(built) => built,
        Err(error) => fail(Some(setup.as_fd()), &error),
    };
    let gate = match gate {
        Some(listener) => match await_leave(setup) {
            Ok(()) => StartGate::Listener(listener),
            Err(error) => fail(None, &error),
        },
        None => StartGate::Channel(setup),
    };
    match gate.wait() {
        Ok(channel) => {
            let (channel, error) = become_workload::execute(&process, kept, channel);
            fail(channel.as_ref().map(AsFd::as_fd), &error)
        }
        Err(error) => fail(None, &error),
    }
}

/// Waits until the runtime has noted this process down. One that nobody knows of must not wait for its start.
fn await_leave(setup: OwnedFd) -> Result<(), StepError> {
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

fn build(plan: InitPlan<'_>, channel: BorrowedFd<'_>) -> Result<(Kept, ProcessPlan), StepError> {
    hide_from_others()?;
    plan.namespaces.join()?;
    enter_cgroup(&plan.entrance)?;
    if plan.namespaces.new_cgroup {
        unshare_cgroup()?;
    }
    rustix::process::setsid().step(|| "could not start a session")?;
    name_host(&plan)?;
    sysctl::apply(&plan.sysctls, plan.proc.as_fd())?;
    become_workload::set_oom_score_adj(&plan.process, plan.proc.as_fd())?;

    let InitPlan { rootfs, mounts, devices, null, process, stdio, .. } = plan;
    let root = pivot::attach_root(rootfs)?;
    rustix::process::umask(Mode::empty());
    let view = cgroupfs::View {
        cgroup: plan.cgroup,
        own_namespace: plan.namespaces.has(LinuxNamespaceType::Cgroup),
    };
    let mut sealed_later = Vec::new();
    for mount in mounts {
        sealed_later.extend(filesystem::mount(&root, mount, &view)?);
    }
    if let Some(devices) = &devices {
        devices::make_all(&root, devices)?;
        devices::make_links(&root)?;
    }
    let console = open_console(&root, stdio, &process)?;
    masks::make_read_only(&root, plan.read_only)?;
    masks::mask(&root, plan.masked, null)?;
    sealed_later.iter().try_for_each(filesystem::seal)?;
    if plan.root_read_only {
        masks::make_root_read_only(&root)?;
    }
    if plan.no_pivot {
        pivot::enter_by_chroot(&root)?;
    } else {
        pivot::enter(&root)?;
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
    become_workload::prepare(&process, &kept)?;
    send_ready(channel, master.as_ref().map(AsFd::as_fd)).step(|| "the runtime is gone")?;
    Ok((kept, process))
}

/// No process of the container may look into this one while it is still ours: ptrace(2), /proc/PID/{exe,fd,mem}.
pub(crate) fn hide_from_others() -> Result<(), StepError> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step(|| "could not hide from other processes")
}

/// Enters the v1 directories; the v2 one was entered at birth.
pub(crate) fn enter_cgroup(entrance: &Entrance) -> Result<(), StepError> {
    entrance.legacy.iter().try_for_each(|procs| match rustix::io::write(procs, b"0") {
        Ok(_) => Ok(()),
        Err(error) => Err(error).step(|| "could not enter the cgroup"),
    })
}

fn unshare_cgroup() -> Result<(), StepError> {
    sys::clone::unshare_cgroup().step(|| "could not make a cgroup namespace")
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
