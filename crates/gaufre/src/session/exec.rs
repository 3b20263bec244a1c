//! A session with a command that was executed in a sandbox.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use gaufre_engine::ExecSession;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::stdio::{stderr, stdout};

use super::input::Input;
use super::poll::PollSet;
use super::signals::{Caught, Signals, die_of};
use super::sink::Sink;
use super::terminal;
use crate::failure::Result;

const CHUNK: usize = 64 * 1024;
/// What a terminal reads as the end of input, termios(3).
const END_OF_TRANSMISSION: u8 = 0x04;
/// The kernel moves what was written to a terminal in the background: this long its end is waited for after the
/// command has ended, should something else keep it open.
const TERMINAL_GRACE: Duration = Duration::from_millis(100);

/// Connects the user with an executed command until the command ends. Signals go to the command, or end us where the
/// keys that would send them go to it: with our terminal in `raw` mode.
///
/// # Errors
/// An output of ours that cannot be written.
pub(crate) fn converse(
    session: &mut ExecSession,
    on_terminal: bool,
    raw: bool,
    signals: &mut Signals,
) -> Result<()> {
    let mut input = Input::new(session.stdin.is_some(), None);
    let mut command_in = session.stdin.take();
    let mut sources = [session.stdout.try_clone().ok(), session.stderr.take()];
    let mut sinks = [Sink::new(stdout()), Sink::new(stderr())];
    for fd in command_in.iter().chain(sources.iter().flatten()) {
        fcntl_setfl(fd, fcntl_getfl(fd).map_err(std::io::Error::from)? | OFlags::NONBLOCK)
            .map_err(std::io::Error::from)?;
    }
    resize(session, on_terminal);
    let mut exited = false;
    loop {
        if input.is_at_end()
            && let Some(fd) = command_in.take()
            && on_terminal
        {
            // A terminal has no end of its own. If it is full nobody is reading it either.
            let _ = write(&fd, &[END_OF_TRANSMISSION]);
        }
        let idle = sinks.iter().all(Sink::is_idle);
        if exited && idle && sources.iter().all(Option::is_none) {
            return Ok(());
        }
        let mut set = PollSet::default();
        let signalled = set.readable(signals.as_fd(), true);
        let ended = set.readable(session.pidfd.as_fd(), !exited);
        let typed = set.readable(input.fd(), !exited && input.wants_more());
        let feedable = command_in.as_ref().map(AsFd::as_fd);
        let fed = feedable.and_then(|fd| set.writable(fd, !exited && !input.pending().is_empty()));
        let mut readable = [None; 2];
        let mut writable = [None; 2];
        for at in 0..2 {
            readable[at] = sources[at].as_ref().and_then(|fd| set.readable(fd.as_fd(), sinks[at].is_idle()));
            writable[at] = set.writable(sinks[at].as_fd(), !sinks[at].is_idle());
        }
        // What a command wrote to a pipe is there when it has ended; who else holds the pipe is not waited for.
        let grace = if on_terminal { TERMINAL_GRACE } else { Duration::ZERO };
        let any = set.wait((exited && idle).then_some(grace))?;
        let [signalled, ended, typed, fed] = [signalled, ended, typed, fed].map(|slot| set.is_ready(slot));
        let (readable, writable) =
            (readable.map(|slot| set.is_ready(slot)), writable.map(|slot| set.is_ready(slot)));

        if signalled {
            for caught in signals.take() {
                match caught {
                    Caught::Resized => resize(session, on_terminal),
                    Caught::Other(signal) if raw => die_of(signal),
                    // A command that has just ended hears nothing any more.
                    Caught::Other(signal) => drop(session.kill(signal.number())),
                }
            }
        }
        for at in 0..2 {
            if writable[at] {
                sinks[at].flush()?;
            }
            if readable[at] {
                pump(&mut sources[at], &mut sinks[at])?;
            }
        }
        if exited && idle && !any {
            return Ok(());
        }
        exited |= ended;
        if typed {
            input.fill();
        }
        if fed
            && let Some(fd) = &command_in
            && input.pass_on(|bytes| write(fd, bytes)).is_err()
        {
            // The command has closed its standard input: what it does not read is of no use.
            input.close();
        }
    }
}

/// Moves what is there from `source` to `sink`; at its end `source` is closed.
fn pump(source: &mut Option<OwnedFd>, sink: &mut Sink) -> Result<()> {
    let Some(fd) = source else { return Ok(()) };
    let mut chunk = vec![0; CHUNK];
    match read(&*fd, &mut chunk) {
        Err(Errno::INTR | Errno::AGAIN) => Ok(()),
        // The master of a terminal gives EIO once nobody has the other side open, pty(7).
        Ok(0) | Err(_) => {
            *source = None;
            Ok(())
        }
        Ok(len) => {
            chunk.truncate(len);
            Ok(sink.put(chunk)?)
        }
    }
}

fn resize(session: &ExecSession, on_terminal: bool) {
    if on_terminal && let Some((rows, cols)) = terminal::size() {
        // A command that has just ended has no size.
        let _ = session.resize(rows, cols);
    }
}
