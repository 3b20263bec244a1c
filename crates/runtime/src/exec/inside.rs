//! The way of a new process into a running sandbox.
//!
//! As a rule it is born there at once and does the rest itself. It takes a process in the middle, which prepares all
//! that can be and holds nothing any more when the one that counts is born, where the sandbox's own processes could
//! otherwise look into it (see [`Inside::is_watched`]), and where the caller may enter the PID namespace only from inside
//! the user namespace.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use oci_spec::runtime::{Capability, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use rustix::thread::ThreadNameSpaceType;

use crate::birth::{Fork, hand_over};
use crate::cgroup::Entrance;
use crate::hidden::{Hidden, hide_from_others};
use crate::namespaces::{BornInto, Target, move_into_process};
use crate::process::plan::ProcessPlan;
use crate::process::stdio::{Kept, Stdio};
use crate::process::{become_workload, console};
use crate::seccomp::Listener;
use crate::step::{Step, StepError};
use crate::sys::clone::{Side, fork_into, fork_sibling};
use crate::sys::fds::close_from_but;
use crate::{gate, init};

/// Where the process goes and what it takes with it.
pub(super) struct Inside<'a> {
    pub(super) process: &'a ProcessPlan,
    pub(super) pidfd: BorrowedFd<'a>,
    pub(super) kinds: ThreadNameSpaceType,
    /// The sandbox's root, where it is not the one of its mount namespace.
    pub(super) root: Option<OwnedFd>,
    pub(super) watched: bool,
    pub(super) entrance: Entrance,
    pub(super) proc: OwnedFd,
    pub(super) stdio: Stdio<'a>,
    pub(super) preserved: &'a [BorrowedFd<'a>],
}

/// All namespaces; the user and the time namespace only if they are others, since setns(2) refuses the own user
/// namespace, and kernels without time namespaces their name. From another user namespace only others at all: there the
/// host's, which the sandbox may share, are not to be joined.
pub(super) fn namespaces_of(pid: Pid) -> Result<ThreadNameSpaceType, StepError> {
    let differs = |kind: &str| -> Result<bool, StepError> {
        let ns =
            |process: &str| std::fs::metadata(format!("/proc/{process}/ns/{kind}")).map(|meta| meta.ino());
        match (ns(&pid.to_string()), ns("self")) {
            (Ok(other), Ok(own)) => Ok(other != own),
            (_, Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            (other, own) => {
                other.and(own).map(|_| false).step(|| format!("process {pid} of the sandbox is gone"))
            }
        }
    };
    let mut kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP
        | ThreadNameSpaceType::PROCESS_ID;
    kinds.set(ThreadNameSpaceType::USER, differs("user")?);
    kinds.set(ThreadNameSpaceType::TIME, differs("time")?);
    if kinds.contains(ThreadNameSpaceType::USER) {
        for (kind, name) in [
            (ThreadNameSpaceType::MOUNT, "mnt"),
            (ThreadNameSpaceType::NETWORK, "net"),
            (ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION, "ipc"),
            (ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME, "uts"),
            (ThreadNameSpaceType::CONTROL_GROUP, "cgroup"),
            (ThreadNameSpaceType::PROCESS_ID, "pid"),
        ] {
            kinds.set(kind, differs(name)?);
        }
    }
    Ok(kinds)
}

/// The sandbox's root, where its processes were put into it by chroot(2): in a mount namespace that it shares, with
/// others or the host.
pub(super) fn root_of(spec: &Spec, pid: Pid) -> Result<Option<OwnedFd>, StepError> {
    if has_own(spec, LinuxNamespaceType::Mount) {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty());
    root.map(Some).step(|| format!("could not open the root of the sandbox's process {pid}"))
}

/// Whether the sandbox has a namespace of this type that was made for it.
fn has_own(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces = spec.linux().iter().filter_map(|linux| linux.namespaces().as_ref()).flatten();
    namespaces.into_iter().any(|namespace| namespace.typ() == kind && namespace.path().is_none())
}

/// Whether a process that sees those of the sandbox may trace any other: with CAP_SYS_PTRACE, and no user namespace that it
/// is limited to, not even a process that is not dumpable is hidden from it. In a PID namespace that is not the sandbox's
/// own, nobody knows who is there.
pub(super) fn is_watched(spec: &Spec, kinds: ThreadNameSpaceType) -> bool {
    let bounding =
        spec.process().as_ref().and_then(|process| process.capabilities().as_ref()?.bounding().as_ref());
    let traces = bounding.is_some_and(|set| set.contains(&Capability::SysPtrace));
    !kinds.contains(ThreadNameSpaceType::USER) && (traces || !has_own(spec, LinuxNamespaceType::Pid))
}

impl Inside<'_> {
    /// Makes the process; returns in the runtime, with the end of the channel that is the runtime's. The process must not
    /// hold it, or it would not see the runtime end.
    pub(super) fn fork(&self, (ours, theirs): (OwnedFd, OwnedFd)) -> Result<(Fork, OwnedFd), StepError> {
        let what = || "could not make a process in the sandbox";
        let group = self.entrance.unified.as_ref().map(AsFd::as_fd);
        // Back on the runtime's own CPUs when this returns there.
        let _restore = self.process.affinity.begin()?;
        let born_into = if self.watched { None } else { self.born_into()? };
        // Processes of the sandbox see it at once.
        let hidden = if born_into.is_some() { Hidden::begin()? } else { None };
        match (fork_into(0, group).step(what)?, born_into) {
            (Side::Parent { pid, pidfd }, Some(_)) => Ok((Fork::Born { pid, pidfd }, ours)),
            (Side::Parent { pidfd, .. }, None) => Ok((Fork::Middle { pidfd }, ours)),
            (Side::Child, Some(born_into)) => {
                drop(ours);
                // Going back is for the runtime only.
                born_into.stay();
                std::mem::forget(hidden);
                self.go_on(theirs)
            }
            (Side::Child, None) => {
                drop(ours);
                self.prepare_another(theirs)
            }
        }
    }

    /// None: the PID namespace can be entered only from within the user namespace.
    fn born_into(&self) -> Result<Option<BornInto>, StepError> {
        match BornInto::enter(&Target::Process(self.pidfd)) {
            Err(error)
                if error.kind() == std::io::ErrorKind::PermissionDenied
                    && self.kinds.contains(ThreadNameSpaceType::USER) =>
            {
                Ok(None)
            }
            entered => entered.map(Some),
        }
    }

    /// In the new process: everything up to the execution.
    fn go_on(&self, channel: OwnedFd) -> ! {
        // It is born in the PID namespace already.
        let kinds = self.kinds.difference(ThreadNameSpaceType::PROCESS_ID);
        let kept = match self.build(kinds, true) {
            Ok((kept, master)) => match report(channel.as_fd(), master.as_ref()) {
                Ok(()) => kept,
                Err(error) => init::fail(None, &error),
            },
            Err(error) => init::fail(Some(channel.as_fd()), &error),
        };
        match gate::StartGate::Channel(channel).wait() {
            Ok(channel) => {
                let (channel, error) = become_workload::execute(self.process, kept, channel);
                init::fail(channel.as_ref().map(AsFd::as_fd), &error)
            }
            Err(error) => init::fail(None, &error),
        }
    }

    /// In the process in the middle: all that needs privileges and descriptors; then the one is born that has neither.
    fn prepare_another(&self, channel: OwnedFd) -> ! {
        let (mut kept, master) = match self.build(self.kinds, false) {
            Ok(built) => built,
            Err(error) => init::fail(Some(channel.as_fd()), &error),
        };
        let rules = kept.take_rules();
        let above = kept.first_free();
        // Not of use as a low number: those are the workload's.
        let master = match master.map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, above)).transpose() {
            Ok(master) => master,
            Err(error) => {
                init::fail(Some(channel.as_fd()), &StepError::new("could not keep the terminal", error))
            }
        };
        let channel = match kept.put_in_place(channel) {
            Ok(channel) => channel,
            Err(error) => init::fail(None, &error),
        };
        let needed = [Some(&channel), rules.as_ref(), master.as_ref()].into_iter().flatten();
        let mut needed: Vec<i32> = needed.map(AsRawFd::as_raw_fd).collect();
        needed.sort_unstable();
        // Neither side of the fork returns to who else owns them.
        let side = close_from_but(above, &needed).and_then(|()| fork_sibling(0));
        let side = side.step(|| "could not make a process in the sandbox");
        match hand_over(side, channel.as_fd()) {
            Ok(_) => self.go_on_bare(channel, rules, master),
            Err(error) => init::fail(Some(channel.as_fd()), &error),
        }
    }

    /// In the process that the one in the middle made.
    fn go_on_bare(&self, channel: OwnedFd, rules: Option<OwnedFd>, master: Option<OwnedFd>) -> ! {
        let settled = rustix::process::setsid().step(|| "could not start a session");
        let settled = settled.and_then(|_| match &master {
            Some(_) => console::take_control(rustix::stdio::stdin()),
            None => Ok(()),
        });
        if let Err(error) = settled.and_then(|()| report(channel.as_fd(), master.as_ref())) {
            init::fail(Some(channel.as_fd()), &error);
        }
        // The other side of the terminal is the caller's.
        drop(master);
        match gate::StartGate::Channel(channel).wait() {
            Ok(channel) => {
                let listener = self.process.listener.as_ref().map(|_| Listener::Runtime);
                let error = become_workload::execute_in_place(self.process, rules, listener, channel.as_fd());
                init::fail(Some(channel.as_fd()), &error)
            }
            Err(error) => init::fail(None, &error),
        }
    }

    fn build(&self, kinds: ThreadNameSpaceType, leads: bool) -> Result<(Kept, Option<OwnedFd>), StepError> {
        // While the file is still one's own: a hidden process's files in /proc belong to the host's root.
        become_workload::set_oom_score_adj(self.process, self.proc.as_fd())?;
        // Before it can be seen in the sandbox: nobody there may look into a process that still holds our descriptors.
        hide_from_others()?;
        init::enter_cgroup(&self.entrance)?;
        self.process.affinity.end()?;
        move_into_process(self.pidfd, kinds).step(|| "could not join the sandbox's namespaces")?;
        if kinds.contains(ThreadNameSpaceType::USER) {
            init::become_root(None)?;
        }
        if let Some(root) = &self.root {
            let what = || "could not enter the sandbox's root";
            rustix::process::fchdir(root).step(what)?;
            rustix::process::chroot(".").step(what)?;
        }
        if leads {
            rustix::process::setsid().step(|| "could not start a session")?;
        }
        let console = self.open_console(leads)?;
        let (master, slave) = console.map(|console| (console.master, console.slave)).unzip();
        let mut kept = Kept::collect(&self.stdio, slave.as_ref(), self.preserved)?;
        kept.use_own_null_device()?;
        self.process.labels.apply(self.proc.as_fd())?;
        become_workload::prepare(self.process, &mut kept)?;
        Ok((kept, master))
    }

    fn open_console(&self, leads: bool) -> Result<Option<console::Console>, StepError> {
        let Stdio::Terminal = self.stdio else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open("/", flags, Mode::empty()).step(|| "could not open the container's root")?;
        let console = console::open(&root, self.process.console_size)?;
        if leads {
            console::take_control(&console.slave)?;
        }
        rustix::fs::fchown(&console.slave, Some(self.process.uid), None)
            .step(|| "could not give the terminal to its user")?;
        Ok(Some(console))
    }
}

fn report(channel: BorrowedFd<'_>, master: Option<&OwnedFd>) -> Result<(), StepError> {
    gate::send_ready(channel, master.map(AsFd::as_fd)).step(|| "the runtime is gone")
}
