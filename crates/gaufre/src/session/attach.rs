//! A session with a sandbox through its keeper.

use std::os::fd::AsFd;

use gaufre_engine::settings::Signal;
use gaufre_engine::{ClientFrame, Connection, KeeperFrame};
use rustix::stdio::{stderr, stdout};

use super::input::Input;
use super::poll::PollSet;
use super::signals::{Caught, Signals, die_of};
use super::sink::Sink;
use super::{DetachKeys, Ended, terminal};
use crate::failure::Result;

/// How the user takes part in an attached session.
#[derive(Debug)]
pub(crate) struct Attached<'a> {
    /// Whether our standard input goes to the workload.
    pub(crate) stdin: bool,
    /// Keys that leave the session, where every key of the user's terminal goes to the workload's.
    pub(crate) keys: Option<&'a DetachKeys>,
    /// What was caught before the workload started.
    pub(crate) signals: &'a mut Signals,
}

/// Connects the user with the workload at the other end of `connection` until one of them leaves. Signals go to
/// `forward`, or end us where the keys that would send them do.
///
/// # Errors
/// A broken line, and an output of ours that cannot be written.
pub(crate) fn attach(
    connection: &mut Connection,
    user: Attached<'_>,
    forward: &mut dyn FnMut(Signal),
) -> Result<Ended> {
    let Attached { stdin, keys, signals } = user;
    let mut input = Input::new(stdin, keys);
    let mut told_end = !stdin;
    let (mut out, mut err) = (Sink::new(stdout()), Sink::new(stderr()));
    let mut resized = connection.terminal.then(terminal::size).flatten();
    let mut ended = None;
    loop {
        while ended.is_none()
            && out.is_idle()
            && err.is_idle()
            && let Some(frame) = connection.buffered()?
        {
            ended = take(frame, &mut out, &mut err)?;
        }
        let idle = out.is_idle() && err.is_idle();
        if idle && let Some(ended) = ended {
            return Ok(ended);
        }
        if input.is_detached() {
            return Ok(Ended::Detached);
        }
        // Input goes out one frame at a time, and only when the line has room, so that sending never waits.
        let to_send = resized.is_some() || !input.pending().is_empty() || (input.is_at_end() && !told_end);
        let alive = ended.is_none();
        let mut set = PollSet::default();
        let signalled = set.readable(signals.as_fd(), true);
        let typed = set.readable(input.fd(), alive && input.wants_more());
        let heard = set.readable(connection.as_fd(), alive && idle);
        let sendable = set.writable(connection.as_fd(), alive && to_send);
        let out_ready = set.writable(out.as_fd(), !out.is_idle());
        let err_ready = set.writable(err.as_fd(), !err.is_idle());
        set.wait(None)?;
        let ready = [signalled, typed, heard, sendable, out_ready, err_ready].map(|slot| set.is_ready(slot));
        let [signalled, typed, heard, sendable, out_ready, err_ready] = ready;

        if out_ready {
            out.flush()?;
        }
        if err_ready {
            err.flush()?;
        }
        if signalled {
            for caught in signals.take() {
                match caught {
                    Caught::Resized if connection.terminal => resized = terminal::size(),
                    Caught::Resized => {}
                    Caught::Other(signal) if keys.is_some() => die_of(signal),
                    Caught::Other(signal) => forward(signal),
                }
            }
        }
        if typed {
            input.fill();
        }
        if heard {
            ended = match connection.recv()? {
                Some(frame) => take(frame, &mut out, &mut err)?,
                None => Some(Ended::Lost),
            };
        }
        if sendable && ended.is_none() {
            let frame = match resized.take() {
                Some((rows, cols)) => ClientFrame::Resize { rows, cols },
                None if !input.pending().is_empty() => ClientFrame::Stdin(input.take()),
                None => {
                    told_end = true;
                    ClientFrame::StdinClosed
                }
            };
            // A keeper that has just ended has said so, or hung up: that is heard next.
            if connection.send(&frame).is_err() {
                input.close();
                (told_end, resized) = (true, None);
            }
        }
    }
}

fn take(frame: KeeperFrame, out: &mut Sink, err: &mut Sink) -> Result<Option<Ended>> {
    match frame {
        KeeperFrame::Welcome => {}
        KeeperFrame::Stdout(bytes) => out.put(bytes)?,
        KeeperFrame::Stderr(bytes) => err.put(bytes)?,
        KeeperFrame::Exited { code } => return Ok(Some(Ended::Exited(code))),
    }
    Ok(None)
}
