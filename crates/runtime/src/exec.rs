//! exec: another process in a sandbox that runs.

mod inside;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxPersonality, LinuxSeccomp, Process, Spec};
use rustix::process::Pid;
use rustix::thread::ThreadNameSpaceType;

use crate::cgroup::{Cgroup, CgroupError};
use crate::create::check_terminal;
use crate::gate::{self, Message};
use crate::landlock::LandlockPlan;
use crate::namespaces::in_first_user_namespace;
use crate::process::memory_policy::MemoryPolicyPlan;
use crate::process::plan::{ProcessError, ProcessPlan};
use crate::process::stdio::Stdio;
use crate::seccomp::{Connection, Listener};
use crate::spec::SpecError;
use crate::start::StartError;
use crate::state::OciState;
use crate::step::{Step, StepError};
use crate::{birth, procfs};
use inside::Inside;

/// A process to be executed in a sandbox.
#[derive(Clone, Copy, Debug)]
pub struct ExecRequest<'a> {
    /// The sandbox's first process, as the caller sees it.
    pub pid: Pid,
    /// Its pidfd, opened while it was certainly that process.
    pub pidfd: BorrowedFd<'a>,
    /// The sandbox's state, for an agent that answers calls of its processes.
    pub state: &'a OciState<'a>,
    /// The configuration that the sandbox was made from: what it says of every process in it.
    pub spec: &'a Spec,
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

/// A process that is complete in its sandbox and waits to be executed. It ends if the caller does.
#[derive(Debug)]
pub struct ExecCreated {
    pid: Pid,
    pidfd: OwnedFd,
    channel: OwnedFd,
    console_master: Option<OwnedFd>,
    agent: Option<Connection>,
}

impl ExecCreated {
    /// Its id, as the caller sees it.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Takes the terminal's master: Some once, where one was asked for.
    pub fn console_master(&mut self) -> Option<OwnedFd> {
        self.console_master.take()
    }

    /// Executes the program.
    ///
    /// # Errors
    /// It could not be executed. The process is reaped.
    pub fn start(self) -> Result<ExecProcess, StartError> {
        let pid = self.pid.as_raw_nonzero().get();
        let hand_over =
            |filter: OwnedFd| self.agent.as_ref().map_or(Ok(()), |agent| agent.tell(pid, filter.as_fd()));
        if let Err(error) = crate::start::go_with(self.channel.as_fd(), hand_over) {
            crate::wait::kill_and_reap(self.pidfd.as_fd());
            return Err(error);
        }
        Ok(ExecProcess { pid: self.pid, pidfd: self.pidfd, console_master: self.console_master })
    }

    /// Ends the process that waits, and reaps it.
    pub fn abandon(self) {
        crate::wait::kill_and_reap(self.pidfd.as_fd());
    }
}

/// Executes a process in the namespaces, root and cgroup of a sandbox, and returns when it was executed.
///
/// # Errors
/// See [`ExecError`]; a program that cannot be executed is [`ExecError::Start`].
pub fn exec(request: ExecRequest<'_>) -> Result<ExecProcess, ExecError> {
    Ok(prepare_exec(request)?.start()?)
}

/// Makes a process in the namespaces, root and cgroup of a sandbox, which then waits to be executed.
///
/// # Errors
/// See [`ExecError`].
pub fn prepare_exec(request: ExecRequest<'_>) -> Result<ExecCreated, ExecError> {
    if !crate::threads::is_single() {
        return Err(ExecError::Threads);
    }
    crate::spec::check_process(request.process)?;
    check_terminal(request.process.terminal() == Some(true), &request.stdio)?;
    let mut process = ProcessPlan::new(request.process, request.seccomp, request.personality)?;
    let agent = process.agent().map(|agent| agent.connect(request.state)).transpose()?;
    process.listener = agent.is_some().then_some(Listener::Runtime);
    let annotations = request.spec.annotations().as_ref();
    let landlock = annotations.and_then(|all| all.get(crate::landlock::ANNOTATION));
    let linux = request.spec.linux().as_ref();
    let policy = linux.and_then(|linux| linux.memory_policy().as_ref());
    process.memory_policy = policy.map(MemoryPolicyPlan::new).transpose()?;
    process.landlock = LandlockPlan::of(landlock.map(String::as_str), request.process)?;
    let kinds = inside::namespaces_of(request.pid)?;
    let on_host = !kinds.contains(ThreadNameSpaceType::USER) && in_first_user_namespace();
    if on_host && request.cgroup.leaves_devices_open(linux.and_then(|linux| linux.resources().as_ref())) {
        process.capabilities.give_up_device_nodes();
    }
    let inside = Inside {
        process: &process,
        pidfd: request.pidfd,
        kinds,
        root: inside::root_of(request.spec, request.pid)?,
        watched: inside::is_watched(request.spec, kinds),
        entrance: request.cgroup.entrance()?,
        proc: procfs::open()?,
        stdio: request.stdio,
        preserved: request.preserve_fds,
    };
    let channel = gate::pair().step(|| "could not make a channel")?;
    let (fork, ours) = inside.fork(channel)?;
    let (pid, pidfd) = birth::complete(fork, ours.as_fd(), inside.proc.as_fd())?;
    match hear(ours.as_fd()) {
        Ok(console_master) => Ok(ExecCreated { pid, pidfd, channel: ours, console_master, agent }),
        Err(error) => {
            crate::wait::kill_and_reap(pidfd.as_fd());
            Err(error)
        }
    }
}

/// Hears from the new process that it is complete.
fn hear(channel: BorrowedFd<'_>) -> Result<Option<OwnedFd>, ExecError> {
    match gate::receive(channel).step(|| "could not hear from the new process")? {
        Message::Ready(master) => Ok(master),
        Message::Failed(error) => Err(error.into()),
        _ => Err(ExecError::Died),
    }
}
