//! Between a container's terminal and our own standard streams, until its process ends.

use std::os::fd::{AsFd, BorrowedFd};

use gaufre_runtime::{Exit, wait};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Relays until the process behind `pidfd` has ended and its last output was written; gives how it ended.
pub(crate) fn run(master: BorrowedFd<'_>, pidfd: BorrowedFd<'_>) -> std::io::Result<Exit> {
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let _raw = Raw::enter(stdin);
    if let Ok(size) = tcgetwinsize(stdin) {
        // A container that has no use for a size is none the worse for it.
        let _ = tcsetwinsize(master, size);
    }
    let mut input_open = true;
    let mut buffer = [0; 32 * 1024];
    loop {
        let no_input = if input_open { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [
            PollFd::from_borrowed_fd(master, PollFlags::IN),
            PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(stdin, no_input),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let [output, end, input] = fds.map(|fd| fd.revents());
        if output.intersects(PollFlags::IN | PollFlags::HUP) {
            match rustix::io::read(master, &mut buffer) {
                Ok(len) if len > 0 => write_all(stdout, buffer.get(..len).unwrap_or_default())?,
                // EIO: nobody has the other side open any more.
                _ => return wait(pidfd),
            }
        } else if end.contains(PollFlags::IN) {
            return wait(pidfd);
        }
        if input_open && input.intersects(PollFlags::IN | PollFlags::HUP) {
            match rustix::io::read(stdin, &mut buffer) {
                Ok(len) if len > 0 => write_all(master, buffer.get(..len).unwrap_or_default())?,
                _ => {
                    input_open = false;
                    // Ctrl-D: what a reader of a terminal takes for the end.
                    let _ = rustix::io::write(master, &[4]);
                }
            }
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
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
