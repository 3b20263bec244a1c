//! The channel between the runtime and the sandbox's init.
//!
//! Channel design: a pair of connected SEQPACKET sockets, one message per packet. Init reports `Ready` (with the
//! console's master as ancillary data where there is one) or `Failed`, then waits for `Go`. In a new user namespace it
//! waits for a first `Go`, until its IDs are mapped; at the first bind mount it says `WantsClones` and gets `Clones`;
//! where hooks run, it says `Paused` and waits for another `Go`. After the last `Go` it executes the workload: its end is close-on-exec, so the end of the stream means success and `Failed` the reason why not.
//! A process that dies closes its end, hence no reader can wait for ever. A runtime that ends between create and
//! start hands init a listening socket instead, on which the later `start` connects and then speaks the same words. A
//! process that is executed in a sandbox says `Filter` where an agent has to get its filter's descriptor.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::step::StepError;

/// Longer texts are cut: a path inside may be as long as an attacker likes.
const MESSAGE_BYTES: usize = 8192;

const READY: u8 = b'R';
const FAILED: u8 = b'F';
const GO: u8 = b'G';
const PAUSED: u8 = b'P';
const BORN: u8 = b'B';
const WANTS_CLONES: u8 = b'W';
const CLONES: u8 = b'C';
const FILTER: u8 = b'S';

/// How many descriptors one message may carry.
pub(crate) const FDS_IN_MESSAGE: usize = 32;

/// What one side told the other.
#[derive(Debug)]
pub(crate) enum Message {
    /// The sandbox is complete; the console's master where one was asked for.
    Ready(Option<OwnedFd>),
    /// A step failed; the process ends.
    Failed(StepError),
    /// Go on: for init, that is to execute the workload.
    Go,
    /// Init has mounted everything and waits for `Go`, so that hooks can run.
    Paused,
    /// A process in the middle has made init, whose pidfd this is, and ends.
    Born(OwnedFd),
    /// Init has come to the first bind mount.
    WantsClones,
    /// Detached clones of the sources of bind mounts, in order; there may be another message with more.
    Clones(Vec<OwnedFd>),
    /// The process has put itself under a filter, whose notifications come on this descriptor.
    Filter(OwnedFd),
    /// The other side closed its end: it executed the workload, or died.
    End,
}

/// A connected pair: the runtime's end and init's.
pub(crate) fn pair() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Reports that the sandbox is complete.
pub(crate) fn send_ready(channel: BorrowedFd<'_>, console: Option<BorrowedFd<'_>>) -> rustix::io::Result<()> {
    send(channel, &[READY], console.as_slice())
}

/// Reports that the mounts are complete, for hooks to run.
pub(crate) fn send_paused(channel: BorrowedFd<'_>) -> rustix::io::Result<()> {
    send(channel, &[PAUSED], &[])
}

/// Hands over the pidfd of the process that was made.
pub(crate) fn send_born(channel: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    send(channel, &[BORN], &[pidfd])
}

/// Asks for the clones of all bind mounts.
pub(crate) fn send_wants_clones(channel: BorrowedFd<'_>) -> rustix::io::Result<()> {
    send(channel, &[WANTS_CLONES], &[])
}

/// Hands over clones of bind mounts, at most [`FDS_IN_MESSAGE`].
pub(crate) fn send_clones(channel: BorrowedFd<'_>, trees: &[OwnedFd]) -> rustix::io::Result<()> {
    let trees: Vec<BorrowedFd<'_>> = trees.iter().map(AsFd::as_fd).collect();
    send(channel, &[CLONES], &trees)
}

/// Hands over the descriptor of a filter's notifications.
pub(crate) fn send_filter(channel: BorrowedFd<'_>, filter: BorrowedFd<'_>) -> rustix::io::Result<()> {
    send(channel, &[FILTER], &[filter])
}

/// Lets init go on.
pub(crate) fn send_go(channel: BorrowedFd<'_>) -> rustix::io::Result<()> {
    send(channel, &[GO], &[])
}

/// Reports a failed step.
pub(crate) fn send_failed(channel: BorrowedFd<'_>, error: &StepError) -> rustix::io::Result<()> {
    let mut message = vec![FAILED];
    message.extend_from_slice(&error.errno().to_ne_bytes());
    // A character cut in half is replaced by the reader.
    let text = error.what().as_bytes();
    let text = text.get(..MESSAGE_BYTES - 16).unwrap_or(text);
    message.extend_from_slice(text);
    send(channel, &message, &[])
}

fn send(channel: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_IN_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    rustix::io::retry_on_intr(|| sendmsg(channel, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL))
        .map(drop)
}

/// Waits for the next message.
pub(crate) fn receive(channel: BorrowedFd<'_>) -> rustix::io::Result<Message> {
    let mut bytes = vec![0; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_IN_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(channel, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    });
    let len = match received {
        Ok(received) => received.bytes,
        Err(Errno::CONNRESET) => 0,
        Err(error) => return Err(error),
    };
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(match bytes.get(..len) {
        Some([READY, ..]) => Message::Ready(fds.pop()),
        Some([GO, ..]) => Message::Go,
        Some([PAUSED, ..]) => Message::Paused,
        Some([WANTS_CLONES, ..]) => Message::WantsClones,
        Some([CLONES, ..]) => Message::Clones(fds),
        Some([BORN, ..]) => fds.pop().map_or(Message::End, Message::Born),
        Some([FILTER, ..]) => fds.pop().map_or(Message::End, Message::Filter),
        Some([FAILED, a, b, c, d, text @ ..]) => {
            let what = String::from_utf8_lossy(text).into_owned();
            Message::Failed(match i32::from_ne_bytes([*a, *b, *c, *d]) {
                0 => StepError::rule(what),
                errno => StepError::new(what, std::io::Error::from_raw_os_error(errno)),
            })
        }
        _ => Message::End,
    })
}

/// Waits for `Go` in the middle of the making.
pub(crate) fn await_go(channel: BorrowedFd<'_>) -> Result<(), StepError> {
    use crate::step::Step;
    match receive(channel).step(|| "could not hear from the runtime")? {
        Message::Go => Ok(()),
        _ => Err(StepError::rule("the runtime ended before the sandbox was complete")),
    }
}

/// Where init waits for `Go`, and whom it tells that the workload could not be executed.
#[derive(Debug)]
pub(crate) enum StartGate {
    /// The process that created the sandbox starts it as well.
    Channel(OwnedFd),
    /// Another process will connect to this listening SEQPACKET socket.
    Listener(OwnedFd),
}

impl StartGate {
    /// Waits until the sandbox is started, and gives the channel for reporting a failure to execute.
    ///
    /// A starter that connects and dies before its word is forgotten; the next may come.
    pub(crate) fn wait(self) -> Result<OwnedFd, StepError> {
        use crate::step::Step;
        match self {
            Self::Channel(channel) => {
                match receive(channel.as_fd()).step(|| "could not wait for the start")? {
                    Message::Go => Ok(channel),
                    _ => Err(StepError::rule("the runtime ended before it started the sandbox")),
                }
            }
            Self::Listener(listener) => loop {
                let accepted =
                    rustix::io::retry_on_intr(|| rustix::net::accept_with(&listener, SocketFlags::CLOEXEC));
                let channel = accepted.step(|| "could not wait for the start")?;
                if let Ok(Message::Go) = receive(channel.as_fd()) {
                    return Ok(channel);
                }
            },
        }
    }
}
