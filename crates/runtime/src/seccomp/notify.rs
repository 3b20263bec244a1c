//! `SCMP_ACT_NOTIFY`: calls that an agent outside answers (seccomp_unotify(2), Linux 5.0), and what it is told.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, sendmsg, shutdown};
use serde::Serialize;

use super::error::SeccompError;
use crate::state::OciState;
use crate::step::{Step, StepError};

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

    /// Connects to the agent, and notes down what it will be told of a process that installs the filter. `state` is the
    /// container's; its process, where it has none yet, is that one.
    pub(crate) fn connect(&self, state: &OciState<'_>) -> Result<Connection, StepError> {
        let what = || format!("could not connect to linux.seccomp.listenerPath {}", self.path.display());
        let socket = UnixStream::connect(&self.path).step(what)?;
        let state = serde_json::to_value(state).map_err(std::io::Error::from).step(what)?;
        Ok(Connection { socket: socket.into(), state, metadata: self.metadata.clone() })
    }
}

/// A connection to the agent and the words for it.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
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

impl Connection {
    /// The same with its descriptor at `above` or higher, out of the way of those that the workload gets.
    pub(super) fn out_of_the_way(&self, above: i32) -> rustix::io::Result<Self> {
        let socket = fcntl_dupfd_cloexec(&self.socket, above)?;
        Ok(Self { socket, state: self.state.clone(), metadata: self.metadata.clone() })
    }

    /// What is said of the process `pid`, its id as the runtime sees it.
    pub(super) fn message(&self, pid: i32) -> std::io::Result<Vec<u8>> {
        let mut state = self.state.clone();
        if state.get("pid").and_then(serde_json::Value::as_i64) == Some(0) {
            state["pid"] = pid.into();
        }
        let (fds, metadata) = (["seccompFd"], self.metadata.as_deref());
        let oci_version = crate::spec::OCI_VERSION;
        let state = ContainerProcessState { oci_version, fds, pid, metadata, state: &state };
        Ok(serde_json::to_vec(&state)?)
    }

    /// Sends the message with the filter's descriptor, and closes the connection.
    pub(super) fn send(&self, message: &[u8], filter: BorrowedFd<'_>) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [filter];
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let mut rest = message;
        while !rest.is_empty() {
            match sendmsg(&self.socket, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    rest = rest.get(sent..).unwrap_or_default();
                    // The descriptor goes with the first piece only.
                    control.clear();
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        // Closed for the agent, whoever still has a copy of it.
        let _ = shutdown(&self.socket, Shutdown::Both);
        Ok(())
    }

    /// Tells the agent of the process `pid` and hands it that one's filter.
    pub(crate) fn tell(&self, pid: i32, filter: BorrowedFd<'_>) -> Result<(), StepError> {
        let message = self.message(pid).step(handing_over)?;
        self.send(&message, filter).step(handing_over)
    }
}

/// What fails when the agent does not get the filter's descriptor.
pub(super) fn handing_over() -> &'static str {
    "could not hand the system call filter's descriptor to linux.seccomp.listenerPath"
}

/// The runtime's procfs, in which a process finds its own id as the runtime sees it.
pub(super) fn own_id(proc: &OwnedFd) -> std::io::Result<i32> {
    let own = rustix::fs::readlinkat(proc, "self", Vec::new())?;
    let pid = own.to_str().ok().and_then(|text| text.parse().ok());
    pid.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}
