//! exec: another process in a sandbox that runs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use oci_spec::runtime::{LinuxPersonality, LinuxSeccomp, Process};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use rustix::thread::ThreadNameSpaceType;

use crate::cgroup::{Cgroup, CgroupError, Entrance};
use crate::create::check_terminal;
use crate::gate::{self, Message};
use crate::namespaces::{BornInto, Target, move_into_process};
use crate::process::plan::{ProcessError, ProcessPlan};
use crate::process::stdio::{Kept, Stdio};
use crate::process::{become_workload, console};
use crate::spec::SpecError;
use crate::start::StartError;
use crate::step::{Step, StepError};
use crate::sys::clone::{Side, fork_into};
use crate::{init, procfs};

/// A process to be executed in a sandbox.
#[derive(Clone, Copy, Debug)]
pub struct ExecRequest<'a> {
    /// The sandbox's first process, as the caller sees it.
    pub pid: Pid,
    /// Its pidfd, opened while it was certainly that process.
    pub pidfd: BorrowedFd<'a>,
    /// What to execute and as whom.
    pub process: &'a Process,
    /// The filter: the sandbox's `linux.seccomp`, unless another is wanted.
    pub seccomp: Option<&'a LinuxSeccomp>,
    /// The sandbox's `linux.personality`.
    pub personality: Option<&'a LinuxPersonality>,
    /// The sandbox's cgroup.
    pub cgroup: &'a Cgroup,
    /// The process's standard streams.
    pub stdio: Stdio<'a>,
    /// Descriptors that the process gets as 3, 4 and so on.
    pub preserve_fds: &'a [BorrowedFd<'a>],
}

/// A process that was executed in a sandbox. It is a child of the caller.
#[derive(Debug)]
pub struct ExecProcess {
    /// Its id, as the caller sees it.
    pub pid: Pid,
    /// Its pidfd: poll(2) says when it ended, [`crate::wait`] how.
    pub pidfd: OwnedFd,
    /// The terminal's master, where one was asked for.
    pub console_master: Option<OwnedFd>,
}

/// Why a process could not be executed in a sandbox. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The process asks for something that is not honoured.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The process or its filter is wrong.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A step failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The cgroup cannot be entered.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The program could not be executed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The calling process has other threads.
    #[error("a process can only be executed in a sandbox by a process without other threads")]
    Threads,
    /// The new process died without a word.
    #[error("the new process died before it was complete")]
    Died,
}

/// Executes a process in the namespaces, root and cgroup of a sandbox, and returns when it was executed.
///
/// # Errors
/// See [`ExecError`]; a program that cannot be executed is [`ExecError::Start`].
pub fn exec(request: ExecRequest<'_>) -> Result<ExecProcess, ExecError> {
    if !crate::threads::is_single() {
        return Err(ExecError::Threads);
    }
    crate::spec::check_process(request.process)?;
    check_terminal(request.process.terminal() == Some(true), &request.stdio)?;
    let process = ProcessPlan::new(request.process, request.seccomp, request.personality)?;
    let joining = Joining {
        pidfd: request.pidfd,
        kinds: namespaces_of(request.pid)?,
        entrance: request.cgroup.entrance()?,
        proc: procfs::open()?,
    };
    let (ours, theirs) = gate::pair().step(|| "could not make a channel")?;
    let born_into = BornInto::enter(&Target::Process(request.pidfd))?;
    let entrance = joining.entrance.unified.as_ref().map(AsFd::as_fd);
    let side = fork_into(0, entrance).step(|| "could not make a process in the sandbox")?;
    let (pid, pidfd) = match side {
        Side::Parent { pid, pidfd } => (pid, pidfd),
        Side::Child => {
            drop(ours);
            std::mem::forget(born_into);
            run(&process, &joining, &request.stdio, request.preserve_fds, theirs)
        }
    };
    drop(born_into);
    drop(theirs);
    match hear(ours.as_fd()) {
        Ok(console_master) => Ok(ExecProcess { pid, pidfd, console_master }),
        Err(error) => {
            crate::wait::kill_and_reap(pidfd.as_fd());
            Err(error)
        }
    }
}

/// Lets the complete process go on and hears how its execution went.
fn hear(channel: BorrowedFd<'_>) -> Result<Option<OwnedFd>, ExecError> {
    match gate::receive(channel).step(|| "could not hear from the new process")? {
        Message::Ready(master) => {
            crate::start::go(channel)?;
            Ok(master)
        }
        Message::Failed(error) => Err(error.into()),
        _ => Err(ExecError::Died),
    }
}

/// How to get into the sandbox.
struct Joining<'a> {
    pidfd: BorrowedFd<'a>,
    kinds: ThreadNameSpaceType,
    entrance: Entrance,
    proc: OwnedFd,
}

/// All namespaces but the PID namespace, into which the process is born; the user namespace only if it is another
/// one, since setns(2) refuses one's own.
fn namespaces_of(pid: Pid) -> Result<ThreadNameSpaceType, StepError> {
    let user_ns =
        |process: &str| std::fs::metadata(format!("/proc/{process}/ns/user")).map(|meta| meta.ino());
    let what = || format!("process {pid} of the sandbox is gone");
    let other_user = user_ns(&pid.to_string()).step(what)? != user_ns("self").step(what)?;
    let kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    Ok(if other_user { kinds | ThreadNameSpaceType::USER } else { kinds })
}

fn run(
    process: &ProcessPlan,
    joining: &Joining<'_>,
    stdio: &Stdio<'_>,
    preserved: &[BorrowedFd<'_>],
    channel: OwnedFd,
) -> ! {
    let kept = match build(process, joining, stdio, preserved, channel.as_fd()) {
        Ok(kept) => kept,
        Err(error) => init::fail(Some(channel.as_fd()), &error),
    };
    match gate::StartGate::Channel(channel).wait() {
        Ok(channel) => {
            let (channel, error) = become_workload::execute(process, kept, channel);
            init::fail(channel.as_ref().map(AsFd::as_fd), &error)
        }
        Err(error) => init::fail(None, &error),
    }
}

fn build(
    process: &ProcessPlan,
    joining: &Joining<'_>,
    stdio: &Stdio<'_>,
    preserved: &[BorrowedFd<'_>],
    channel: BorrowedFd<'_>,
) -> Result<Kept, StepError> {
    // Before it can be seen in the sandbox: nobody there may look into a process that still holds our descriptors.
    init::hide_from_others()?;
    become_workload::set_oom_score_adj(process, joining.proc.as_fd())?;
    init::enter_cgroup(&joining.entrance)?;
    move_into_process(joining.pidfd, joining.kinds).step(|| "could not join the sandbox's namespaces")?;
    rustix::process::setsid().step(|| "could not start a session")?;
    let console = match stdio {
        Stdio::Streams(_) => None,
        Stdio::Terminal => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root =
                rustix::fs::open("/", flags, Mode::empty()).step(|| "could not open the container's root")?;
            let console = console::open(&root, process.console_size)?;
            console::take_control(&console.slave)?;
            rustix::fs::fchown(&console.slave, Some(process.uid), None)
                .step(|| "could not give the terminal to its user")?;
            Some(console)
        }
    };
    let (master, slave) = console.map(|console| (console.master, console.slave)).unzip();
    let mut kept = Kept::collect(stdio, slave.as_ref(), preserved)?;
    kept.use_own_null_device()?;
    become_workload::prepare(process, &kept)?;
    gate::send_ready(channel, master.as_ref().map(AsFd::as_fd)).step(|| "the runtime is gone")?;
    Ok(kept)
}
