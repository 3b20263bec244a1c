//! Executing another command in a running sandbox.

use crate::bundle::{UserError, environment, resolve_user};
use crate::create::process::merge_env;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::process::{open_of, open_pidfd};
use crate::sandbox::{FindError, Sandbox, Status, UnreadableError};
use gaufre_runtime::state::{OciState, Status as OciStatus};
use gaufre_runtime::{Stdio, Streams, exec};
use oci_spec::OciSpecError;
use oci_spec::runtime::{Process, Spec};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::Pid;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::termios::{Winsize, tcsetwinsize};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What to execute.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// With a terminal of its own.
    pub terminal: bool,
    /// With an input that the caller writes.
    pub stdin_open: bool,
    /// `NAME=value`, over those of the sandbox.
    pub env: Vec<String>,
    /// As whom; as the sandbox's own user when `None`.
    pub user: Option<String>,
    /// Where; in the sandbox's own working directory when `None`.
    pub workdir: Option<String>,
    /// With all capabilities and without a seccomp filter.
    pub privileged: bool,
}

/// A command that runs in a sandbox. It is a child of this process.
#[derive(Debug)]
pub struct ExecSession {
    /// Readable once the command has ended.
    pub pidfd: OwnedFd,
    /// Where to write its input, if that was asked for; the terminal's master when it has one.
    pub stdin: Option<OwnedFd>,
    /// Where to read its output, or its terminal.
    pub stdout: OwnedFd,
    /// Where to read its error output; `None` with a terminal.
    pub stderr: Option<OwnedFd>,
    terminal: bool,
}

/// A command cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No sandbox goes by that name.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Its records cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    /// There is nothing to execute it in.
    #[error("cannot execute in container {name}: it is not running")]
    NotRunning {
        /// Which.
        name: String,
    },
    /// The bundle it was started with cannot be read.
    #[error("cannot read the bundle of container {name}")]
    Bundle {
        /// Which.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The user is not to be found.
    #[error(transparent)]
    User(#[from] UserError),
    /// A directory that is none.
    #[error("the working directory {0:?} is not an absolute path")]
    WorkingDirectory(String),
    /// It was asked for, and is not there.
    #[error("the working directory {0:?} does not exist in the container")]
    NoWorkingDirectory(String),
    /// What was asked for has no form in the specification.
    #[error("cannot put the command into the runtime's terms")]
    Spec(#[from] OciSpecError),
    /// This program cannot be protected from the sandbox.
    #[error("cannot protect this program from the container that it is to enter")]
    Seal(#[source] Box<gaufre_runtime::StepError>),
    /// Pipes are not to be had.
    #[error("cannot prepare the command's input and output")]
    Streams(#[source] io::Error),
    /// The command is not there, or no program.
    #[error(transparent)]
    Command(Box<gaufre_runtime::StartError>),
    /// The new process was killed, by the kernel or somebody, before it became the command.
    #[error("the process for {command:?} in container {name} was killed before it could execute it")]
    Killed {
        /// What.
        command: String,
        /// Where.
        name: String,
    },
    /// The runtime refuses.
    #[error("cannot execute {command:?} in container {name}")]
    Runtime {
        /// What.
        command: String,
        /// Where.
        name: String,
        /// Why.
        source: Box<gaufre_runtime::ExecError>,
    },
}

impl Failure for ExecError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Command(error) => error.exit_code(),
            Self::User(_) | Self::NoWorkingDirectory(_) => 126,
            // As podman 4.3.
            Self::NotRunning { .. } => 255,
            _ => 125,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Find(error) => error.hint(),
            Self::Unreadable(error) => error.hint(),
            Self::Killed { .. } => {
                Some("If nobody killed it, the container's memory limit leaves it no room.".to_owned())
            }
            Self::NotRunning { name } => Some(format!("Start it first: gaufre start {name}")),
            _ => None,
        }
    }
}

/// Goes on from a view of this program that nobody can write to (CVE-2019-5736): a process that enters a sandbox can be
/// looked at from inside until it has become the command. To be called before anything else; it begins the program anew.
///
/// # Errors
/// The view cannot be made.
pub fn seal() -> Result<(), ExecError> {
    gaufre_runtime::run_sealed().map_err(|source| ExecError::Seal(Box::new(source)))
}

impl Engine {
    /// Executes a command; returns when it runs.
    ///
    /// # Errors
    /// See [`ExecError`]; 126 and 127 as exit codes for a command that cannot be run or is not there.
    pub fn exec(&self, name: &str, request: &ExecRequest) -> Result<ExecSession, ExecError> {
        let sandbox = self.find(name)?;
        let pipe = || {
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map_err(|e| ExecError::Streams(e.into()))
        };
        if request.terminal {
            let mut executed = execute(&sandbox, request, Stdio::Terminal)?;
            let master = executed
                .console_master
                .take()
                .ok_or_else(|| ExecError::Streams(io::Error::other("the runtime gave no terminal")))?;
            let stdin =
                request.stdin_open.then(|| master.try_clone()).transpose().map_err(ExecError::Streams)?;
            return Ok(ExecSession {
                pidfd: executed.pidfd,
                stdin,
                stdout: master,
                stderr: None,
                terminal: true,
            });
        }
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        let (their_stdin, stdin) = if request.stdin_open {
            let (theirs, ours) = pipe()?;
            (theirs, Some(ours))
        } else {
            (null(OFlags::RDONLY)?, None)
        };
        let streams = Streams {
            stdin: their_stdin.as_fd(),
            stdout: their_stdout.as_fd(),
            stderr: their_stderr.as_fd(),
        };
        let executed = execute(&sandbox, request, Stdio::Streams(streams))?;
        Ok(ExecSession { pidfd: executed.pidfd, stdin, stdout, stderr: Some(stderr), terminal: false })
    }

    /// Executes a command that nobody waits for: its input is empty and its output is thrown away.
    ///
    /// # Errors
    /// See [`ExecError`].
    pub fn exec_detached(&self, name: &str, request: &ExecRequest) -> Result<(), ExecError> {
        let sandbox = self.find(name)?;
        let null = null(OFlags::RDWR)?;
        let streams = Streams { stdin: null.as_fd(), stdout: null.as_fd(), stderr: null.as_fd() };
        // A terminal that nobody is at the other end of would hang up at once.
        let request = ExecRequest { terminal: false, ..request.clone() };
        execute(&sandbox, &request, Stdio::Streams(streams)).map(drop)
    }
}

impl ExecSession {
    /// The exit status, 128 + N after signal N; waits for the end.
    ///
    /// # Errors
    /// Those of waitid(2).
    pub fn exit_code(&self) -> io::Result<i32> {
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    let code = status
                        .exit_status()
                        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                    return code.ok_or_else(|| io::Error::other("the command ended in no known way"));
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Sends the command a signal.
    ///
    /// # Errors
    /// Those of pidfd_send_signal(2).
    pub fn kill(&self, signal: i32) -> io::Result<()> {
        crate::process::kill(self.pidfd.as_fd(), signal)
    }

    /// Tells the command's terminal its size; without one, nothing happens.
    ///
    /// # Errors
    /// Those of the terminal.
    pub fn resize(&self, rows: u16, cols: u16) -> io::Result<()> {
        if self.terminal {
            tcsetwinsize(&self.stdout, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 })?;
        }
        Ok(())
    }
}

fn null(mode: OFlags) -> Result<OwnedFd, ExecError> {
    open("/dev/null", mode | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| ExecError::Streams(errno.into()))
}

fn execute(
    sandbox: &Sandbox,
    request: &ExecRequest,
    stdio: Stdio<'_>,
) -> Result<gaufre_runtime::ExecProcess, ExecError> {
    let name = || sandbox.name().to_owned();
    let Status::Running(running) = sandbox.status()? else {
        return Err(ExecError::NotRunning { name: name() });
    };
    let target =
        open_pidfd(running.pid, running.start_ticks).ok_or_else(|| ExecError::NotRunning { name: name() })?;
    let bundle =
        |source: Box<dyn std::error::Error + Send + Sync>| ExecError::Bundle { name: name(), source };
    let spec = Spec::load(sandbox.bundle().join("config.json")).map_err(|error| bundle(error.into()))?;
    let root = open_of(target.as_fd(), running.pid, "root", OFlags::PATH | OFlags::DIRECTORY)
        .map_err(|error| bundle(error.into()))?
        .ok_or_else(|| ExecError::NotRunning { name: name() })?;
    let process = process(sandbox, request, &spec, &root)?;
    exec(gaufre_runtime::ExecRequest {
        pid: Pid::from_raw(running.pid).ok_or_else(|| ExecError::NotRunning { name: name() })?,
        pidfd: target.as_fd(),
        state: &OciState::new(
            sandbox.id().as_str(),
            running.pid,
            OciStatus::Running,
            &sandbox.bundle(),
            &spec.annotations().clone().unwrap_or_default().into_iter().collect(),
        ),
        spec: &spec,
        process: &process,
        seccomp: if request.privileged {
            None
        } else {
            spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref())
        },
        personality: None,
        cgroup: &running.cgroup,
        stdio,
        preserve_fds: &[],
    })
    .map_err(|error| {
        let command = request.command.first().cloned().unwrap_or_default();
        match error {
            gaufre_runtime::ExecError::Start(error) => ExecError::Command(Box::new(error)),
            gaufre_runtime::ExecError::Died => ExecError::Killed { command, name: name() },
            error => ExecError::Runtime { command, name: name(), source: Box::new(error) },
        }
    })
}

/// The sandbox's own process, with what the request changes.
fn process(
    sandbox: &Sandbox,
    request: &ExecRequest,
    spec: &Spec,
    root: &OwnedFd,
) -> Result<Process, ExecError> {
    let definition = &sandbox.definition;
    let mut process = spec.process().clone().unwrap_or_default();
    let user = request.user.as_deref().or(definition.process.user.as_deref());
    let user = resolve_user(root.as_fd(), user, &definition.settings.groups)?;
    let env = merge_env(definition.process.env.clone(), &request.env);
    let hostname = crate::bundle::hostname_of(definition);
    process.set_args(Some(request.command.clone()));
    process.set_terminal(Some(request.terminal));
    process.set_env(Some(environment(&env, request.terminal, &user, Some(&hostname))));
    process.set_user(user.to_spec()?);
    if let Some(workdir) = &request.workdir {
        if !workdir.starts_with('/') {
            return Err(ExecError::WorkingDirectory(workdir.clone()));
        }
        if crate::workdir::is_missing(root.as_fd(), workdir, &[]) {
            return Err(ExecError::NoWorkingDirectory(workdir.clone()));
        }
        process.set_cwd(workdir.into());
    }
    process.set_capabilities(Some(crate::bundle::capabilities(
        &definition.settings,
        user.uid,
        request.privileged,
    )?));
    Ok(process)
}
