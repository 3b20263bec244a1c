//! A whole attached session: the terminal's mode, the signals, and a keeper that is replaced on the way.

use gaufre_engine::settings::Signal;
use gaufre_engine::{AttachStreams, Connection, Engine};

use super::attach::{Attached, attach};
use super::signals::Signals;
use super::terminal::{RawMode, stdin_is_terminal};
use super::{DetachKeys, Ended};
use crate::failure::{CliError, Result};
use crate::output;

/// How the user wants to take part.
#[derive(Debug)]
pub(crate) struct Part {
    /// Which streams.
    pub(crate) streams: AttachStreams,
    /// Keys that leave a terminal.
    pub(crate) keys: DetachKeys,
    /// Whether signals that we get go to the workload.
    pub(crate) sig_proxy: bool,
}

impl Part {
    /// Catches the signals of this part. To be called before the workload is started, so that none is lost.
    ///
    /// # Errors
    /// When they cannot be caught.
    pub(crate) fn catch_signals(&self, terminal: bool) -> Result<Signals> {
        let caught = Signals::of_session(self.is_raw(terminal), self.sig_proxy);
        caught.map_err(|error| CliError::because("cannot catch signals", error))
    }

    /// Whether every key of the user's terminal goes to the workload's.
    fn is_raw(&self, terminal: bool) -> bool {
        terminal && self.streams.stdin && stdin_is_terminal()
    }

    /// Takes part in sandbox `id` until it ends or the user leaves, and gives the code to exit with.
    ///
    /// # Errors
    /// A line that breaks for good, an output that cannot be written, an exit code that nobody saw.
    pub(crate) fn attend(
        &self,
        engine: &Engine,
        id: &str,
        mut line: Connection,
        mut signals: Signals,
    ) -> Result<u8> {
        let is_raw = self.is_raw(line.terminal);
        let raw = match is_raw.then(RawMode::enter) {
            Some(raw) => {
                Some(raw.map_err(|error| CliError::because("cannot put the terminal into raw mode", error))?)
            }
            None => None,
        };
        let mut forward = |signal: Signal| {
            // The workload may have just ended, which is heard next.
            let _ = engine.kill(id, signal);
        };
        loop {
            let keys = is_raw.then_some(&self.keys);
            let user = Attached { stdin: self.streams.stdin, keys, signals: &mut signals };
            match attach(&mut line, user, &mut forward)? {
                Ended::Exited(code) => return exit_code(id, code),
                Ended::Detached => {
                    drop(raw);
                    output::note("");
                    return Ok(0);
                }
                // The keeper was killed. The next command starts another, and the workload does not notice.
                Ended::Lost => match engine.attach(id, self.streams) {
                    Ok(again) => line = again,
                    Err(_) => return exit_code(id, engine.wait(id)?),
                },
            }
        }
    }
}

/// The workload's code as ours.
///
/// # Errors
/// When nobody saw it.
pub(crate) fn exit_code(id: &str, code: Option<i32>) -> Result<u8> {
    let code = code.ok_or_else(|| {
        CliError::new(format_args!("container {id} has ended, but nobody saw its exit code"))
    })?;
    Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}
