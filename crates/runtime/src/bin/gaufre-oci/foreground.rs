//! A container or process in the foreground: until it ends, signals sent to us go to it and, where it has a terminal,
//! so does what is written to ours, and back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use gaufre_runtime::signals::SignalQueue;
use gaufre_runtime::{Exit, kill, wait};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// No more than this goes into a pipe at once: after poll(2) says that it is writable, so much does not block.
const CHUNK: usize = 4096;

/// Serves the process until it has ended and its last output was written; gives how it ended.
pub(crate) fn serve(
    signals: &SignalQueue,
    pidfd: BorrowedFd<'_>,
    master: Option<OwnedFd>,
) -> std::io::Result<Exit> {
    match master {
        Some(master) => relay(signals, pidfd, &master),
        None => forward(signals, pidfd),
    }
}

fn forward(signals: &SignalQueue, pidfd: BorrowedFd<'_>) -> std::io::Result<Exit> {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        wait_for(&mut fds)?;
        let [ended, signalled] = fds.map(|fd| fd.revents());
        if signalled.contains(PollFlags::IN) {
            pass_on(signals, pidfd, None)?;
        }
        if ended.contains(PollFlags::IN) {
            return wait(pidfd);
        }
    }
}

fn relay(signals: &SignalQueue, pidfd: BorrowedFd<'_>, master: &OwnedFd) -> std::io::Result<Exit> {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let _raw = Raw::enter(stdin);
    rustix::io::ioctl_fionbio(master, true)?;
    let (mut input, mut output) = (Flow::default(), Flow::default());
    loop {
        // What nothing is wanted from is left out: poll(2) would tell of its other end's closing again and again.
        let watch = |fd, events: PollFlags| {
            let fd = if events.is_empty() { signals.as_fd() } else { fd };
            PollFd::from_borrowed_fd(fd, events)
        };
        let mut fds = [
            watch(pidfd, PollFlags::IN),
            watch(signals.as_fd(), PollFlags::IN),
            watch(stdin, input.wants_to_read()),
            watch(master.as_fd(), output.wants_to_read() | input.wants_to_write()),
            watch(stdout, output.wants_to_write()),
        ];
        let asked_for_output = !output.wants_to_read().is_empty();
        wait_for(&mut fds)?;
        let [ended, signalled, from, terminal, to] = fds.map(|fd| fd.revents());
        if signalled.contains(PollFlags::IN) {
            pass_on(signals, pidfd, Some(master))?;
        }
        if readable(from) && input.fill(stdin) == 0 {
            // Ctrl-D: what a reader of a terminal takes for the end.
            input.end_with(4);
        }
        if terminal.contains(PollFlags::OUT) {
            input.drain(master);
        }
        if !to.is_empty() {
            output.drain(stdout);
        }
        if readable(terminal) && asked_for_output {
            if output.fill(master) == 0 {
                // EIO: nobody has the other side open any more.
                return forward(signals, pidfd);
            }
        } else if ended.contains(PollFlags::IN) && asked_for_output {
            // It has ended, and there was nothing more to read.
            return wait(pidfd);
        }
    }
}

fn readable(events: PollFlags) -> bool {
    events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
}

fn wait_for(fds: &mut [PollFd<'_>]) -> std::io::Result<()> {
    match poll(fds, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Passes signals on as runc does: all but those that tell of our own children and sockets. A change of our
/// terminal's size becomes one of the container's.
fn pass_on(signals: &SignalQueue, pidfd: BorrowedFd<'_>, master: Option<&OwnedFd>) -> std::io::Result<()> {
    while let Some(signal) = signals.next()? {
        match (signal, master) {
            (Signal::CHILD | Signal::PIPE | Signal::URG, _) => {}
            (Signal::WINCH, Some(master)) => copy_size(master),
            // It may end in between: then the wait says how.
            (signal, _) => drop(kill(pidfd, signal)),
        }
    }
    Ok(())
}

/// Gives the container's terminal the size of ours: also before the start, for the process to find it so.
pub(crate) fn copy_size(master: &OwnedFd) {
    // Without a terminal of ours there is no size, and a container that has no use for it is none the worse.
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()).or_else(|_| tcgetwinsize(rustix::stdio::stdout()))
    {
        let _ = tcsetwinsize(master, size);
    }
}

/// Bytes on their way in one direction.
#[derive(Debug, Default)]
struct Flow {
    pending: Vec<u8>,
    ended: bool,
}

impl Flow {
    fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Only when all was written is more read.
    fn wants_to_read(&self) -> PollFlags {
        if self.ended || !self.is_empty() { PollFlags::empty() } else { PollFlags::IN }
    }

    fn wants_to_write(&self) -> PollFlags {
        if self.is_empty() { PollFlags::empty() } else { PollFlags::OUT }
    }

    /// Reads; zero bytes are the end.
    fn fill(&mut self, from: impl AsFd) -> usize {
        let mut buffer = [0; CHUNK];
        match rustix::io::read(from, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => 1,
            Ok(len) => {
                self.pending.extend_from_slice(buffer.get(..len).unwrap_or_default());
                len
            }
            Err(_) => 0,
        }
    }

    fn drain(&mut self, to: impl AsFd) {
        match rustix::io::write(to, &self.pending) {
            Ok(len) => drop(self.pending.drain(..len)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Nobody reads any more: the process goes on without.
            Err(_) => self.pending.clear(),
        }
    }

    fn end_with(&mut self, last: u8) {
        self.pending.push(last);
        self.ended = true;
    }
}

/// Our own terminal in raw mode while it lives.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Option<Termios>,
}

impl<'a> Raw<'a> {
    fn enter(terminal: BorrowedFd<'a>) -> Self {
        let before = if isatty(terminal) { tcgetattr(terminal).ok() } else { None };
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // Cooked input is a nuisance, not a failure.
            let _ = tcsetattr(terminal, OptionalActions::Now, &raw);
        }
        Self { terminal, before }
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing is left to be done if the terminal is gone.
            let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Now, before);
        }
    }
}
