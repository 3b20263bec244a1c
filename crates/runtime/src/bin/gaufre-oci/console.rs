//! Where a terminal's master goes: to our own standard streams, or through `--console-socket` to whoever asked.

use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use gaufre_runtime::Stdio;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::args::{Args, Known, value};
use crate::command::Failure;

pub(crate) const CONSOLE_SOCKET: Known =
    value("console-socket", "", "PATH", "send the terminal's master to whoever listens there");

/// What becomes of the standard streams.
#[derive(Debug)]
pub(crate) enum Console {
    /// They are our own.
    None,
    /// They are a terminal, between which and our own streams we relay.
    Foreground,
    /// They are a terminal, whose master goes through this connection.
    Socket(UnixStream),
}

impl Console {
    /// Reads the options, with runc's rules for what goes together. The connection is made before anything else is.
    pub(crate) fn of(args: &Args, terminal: bool, detached: bool) -> Result<Self, Failure> {
        match (args.value("console-socket").filter(|path| !path.is_empty()), terminal, detached) {
            (Some(path), true, true) => {
                let stream = UnixStream::connect(path);
                Ok(Self::Socket(stream.map_err(|error| format!("the console socket {path}: {error}"))?))
            }
            (Some(_), _, _) => {
                Err("--console-socket needs a terminal (process.terminal) and a detached container".into())
            }
            (None, true, true) => Err("a detached container's terminal needs --console-socket".into()),
            (None, true, false) => Ok(Self::Foreground),
            (None, false, _) => Ok(Self::None),
        }
    }

    pub(crate) fn stdio(&self) -> Stdio<'static> {
        match self {
            Self::None => Stdio::inherit(),
            Self::Foreground | Self::Socket(_) => Stdio::Terminal,
        }
    }

    /// Sends the master where it is to go; gives it back if that is us.
    pub(crate) fn deliver(self, master: Option<OwnedFd>) -> Result<Option<OwnedFd>, Failure> {
        match (self, master) {
            (Self::Socket(stream), Some(master)) => {
                send(&stream, &master).map_err(|error| format!("the console socket: {error}"))?;
                Ok(None)
            }
            (_, master) => Ok(master),
        }
    }
}

/// `SCM_RIGHTS` on a stream socket with the terminal's name as the data, as runc does.
fn send(stream: &UnixStream, master: &OwnedFd) -> rustix::io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [master.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(stream, &[IoSlice::new(b"/dev/ptmx")], &mut control, SendFlags::NOSIGNAL).map(drop)
}
