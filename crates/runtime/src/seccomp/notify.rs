//! `SCMP_ACT_NOTIFY`: calls that an agent outside answers (seccomp_unotify(2), Linux 5.0).
//!
//! The kernel gives the descriptor to the process that installs the filter, which may be unable to send it from then
//! on: the filter may refuse sendmsg(2), or hand it to the very agent that waits for the descriptor. A helper, made
//! before, sends it: it shares the descriptors but not the filter (as crun does it). The two speak through a shared
//! page, because that needs no call.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, sendmsg, shutdown};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use serde::Serialize;

use super::compile::Filter;
use super::error::SeccompError;
use crate::process::plan::ProcessPlan;
use crate::procfs;
use crate::state::OciState;
use crate::step::{Step, StepError};
use crate::sys;
use crate::sys::clone::{Side, const_flag, fork_into};
use crate::sys::shared::SharedWord;

/// The agent that a configuration names.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    path: PathBuf,
    metadata: Option<String>,
}

impl Agent {
    /// Reads the agent of a filter that needs one.
    pub(super) fn of(seccomp: &LinuxSeccomp) -> Result<Self, SeccompError> {
        if seccomp.default_action() == LinuxSeccompAction::ScmpActNotify {
            return Err(SeccompError::NotifyDefault);
        }
        let path = seccomp.listener_path().clone().filter(|path| !path.as_os_str().is_empty());
        Ok(Self {
            path: path.ok_or(SeccompError::NoListener)?,
            metadata: seccomp.listener_metadata().clone(),
        })
    }

    /// Connects to the agent, and notes down what it will be told. `state` is the container's; its process, where it
    /// has none yet, is the one that will install the filter.
    fn connect(&self, state: &OciState<'_>) -> Result<Listener, StepError> {
        let what = || format!("could not connect to linux.seccomp.listenerPath {}", self.path.display());
        let connection = UnixStream::connect(&self.path).step(what)?;
        let state = serde_json::to_value(state).map_err(std::io::Error::from).step(what)?;
        let metadata = self.metadata.clone();
        Ok(Listener { connection: connection.into(), proc: procfs::open()?, state, metadata })
    }
}

/// Connects a process to the agent that its filter needs, if it needs any.
pub(crate) fn connect(process: &mut ProcessPlan, state: &OciState<'_>) -> Result<(), StepError> {
    let agent = process.filter.as_ref().and_then(|filter| filter.agent.as_ref());
    process.listener = agent.map(|agent| agent.connect(state)).transpose()?;
    Ok(())
}

/// A connection to the agent and the words for it.
#[derive(Debug)]
pub(crate) struct Listener {
    connection: OwnedFd,
    /// The runtime's procfs, in which a process finds its own id as the runtime sees it.
    proc: OwnedFd,
    state: serde_json::Value,
    metadata: Option<String>,
}

/// The container process state: config-linux.md of the runtime specification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerProcessState<'a> {
    oci_version: &'static str,
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: &'a serde_json::Value,
}

impl Listener {
    /// The same with its descriptors at `above` or higher, out of the way of those that the workload gets.
    pub(crate) fn out_of_the_way(&self, above: i32) -> Result<Self, StepError> {
        let dup =
            |fd: &OwnedFd| fcntl_dupfd_cloexec(fd, above).step(|| "could not keep the agent's connection");
        let (state, metadata) = (self.state.clone(), self.metadata.clone());
        Ok(Self { connection: dup(&self.connection)?, proc: dup(&self.proc)?, state, metadata })
    }

    /// Installs the filter and hands its descriptor to the agent, before anything can need an answer.
    pub(crate) fn install(&self, filter: &Filter) -> Result<(), StepError> {
        let what = || "could not hand the system call filter's descriptor to linux.seccomp.listenerPath";
        let message = self.message().step(what)?;
        let word = SharedWord::new().step(what)?;
        let own = pidfd_open(getpid(), PidfdFlags::empty()).step(what)?;
        // Forgotten when it ends: the workload would not know whose child it is.
        sys::signals::forget_children().step(what)?;
        let side = fork_into(const_flag(libc::CLONE_FILES), None).step(what)?;
        if matches!(side, Side::Child) {
            help(self.connection.as_fd(), &message, &word, &own);
        }
        let installed = sys::seccomp::install_with_listener(&filter.program, filter.flags);
        // From here on no call is made before the helper is done: it might be one that the agent has to answer.
        let told = installed.as_ref().map_or(GIVEN_UP, AsRawFd::as_raw_fd);
        word.value().store(told, Ordering::Release);
        // Not closed but by the workload's execution: close(2) is a call too.
        std::mem::forget(installed.step(|| "could not install the system call filter")?);
        let begin = Instant::now();
        loop {
            match word.value().load(Ordering::Acquire) {
                SENT => return Ok(()),
                failed if failed <= FAILED => {
                    return Err(Errno::from_raw_os_error(FAILED - failed)).step(what);
                }
                // The clock is read without a call.
                _ if begin.elapsed() > PATIENCE => return Err(Errno::TIMEDOUT).step(what),
                _ => std::hint::spin_loop(),
            }
        }
    }

    fn message(&self) -> std::io::Result<Vec<u8>> {
        let own = rustix::fs::readlinkat(&self.proc, "self", Vec::new())?;
        let pid = own.to_str().ok().and_then(|text| text.parse().ok());
        let pid: i32 = pid.ok_or(std::io::ErrorKind::InvalidData)?;
        let mut state = self.state.clone();
        if state.get("pid").and_then(serde_json::Value::as_i64) == Some(0) {
            state["pid"] = pid.into();
        }
        let (fds, metadata) = (["seccompFd"], self.metadata.as_deref());
        let state = ContainerProcessState {
            oci_version: crate::spec::OCI_VERSION,
            fds,
            pid,
            metadata,
            state: &state,
        };
        Ok(serde_json::to_vec(&state)?)
    }
}

/// How long the agent's socket may take the message.
const PATIENCE: Duration = Duration::from_secs(10);
const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000 };

// What the shared word says beside a descriptor's number.
const WAITING: i32 = -1;
const GIVEN_UP: i32 = -2;
const SENT: i32 = -3;
/// Less an error number.
const FAILED: i32 = -1000;

/// The helper: waits for the descriptor's number, sends the descriptor, ends.
fn help(connection: BorrowedFd<'_>, message: &[u8], word: &SharedWord, helped: &OwnedFd) -> ! {
    let number = loop {
        match word.value().load(Ordering::Acquire) {
            WAITING => {
                // The one that is helped may end without a word.
                if matches!(poll(&mut [PollFd::new(&helped, PollFlags::IN)], Some(&A_MOMENT)), Ok(1..)) {
                    sys::exec::exit_now(1);
                }
            }
            told => break told,
        }
    };
    if number >= 0 {
        word.value().store(send(connection, message, number), Ordering::Release);
    }
    sys::exec::exit_now(0)
}

fn send(connection: BorrowedFd<'_>, message: &[u8], number: i32) -> i32 {
    let listener = match sys::fds::inherited(number) {
        Ok(listener) => listener,
        Err(error) => return FAILED - error.raw_os_error(),
    };
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [listener.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let mut rest = message;
    while !rest.is_empty() {
        match sendmsg(connection, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
            Ok(sent) => {
                rest = rest.get(sent..).unwrap_or_default();
                // The descriptor goes with the first piece only.
                control.clear();
            }
            Err(Errno::INTR) => {}
            Err(error) => return FAILED - error.raw_os_error(),
        }
    }
    // Closed for the agent, whoever still has a copy of it.
    let _ = shutdown(connection, Shutdown::Both);
    SENT
}
