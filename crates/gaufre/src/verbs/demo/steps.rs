//! The steps of the demo as the user sees them: what is done, and how long it took.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{CliError, Result};

/// Where the times stand, in columns.
const WIDTH: usize = 62;

/// Prints each step with its time, and stops between two of them when the user wants it.
#[derive(Debug)]
pub(super) struct Steps {
    begun: Instant,
    interrupted: Arc<AtomicBool>,
    terminal: bool,
}

impl Steps {
    /// Catches the signals that ask for the end, so that what was made can be taken away first.
    ///
    /// # Errors
    /// When a signal cannot be caught.
    pub(super) fn begin() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(|error| CliError::because("cannot catch signals", error))?;
        }
        Ok(Self { begun: Instant::now(), interrupted, terminal: io::stdout().is_terminal() })
    }

    /// Does one step; `outcome` may say more about it than `what` can beforehand.
    ///
    /// # Errors
    /// What the step fails of, after what was to be done; or that the user interrupted the demo.
    pub(super) fn step<T>(
        &self,
        what: &str,
        step: impl FnOnce() -> Result<T>,
        outcome: impl FnOnce(&T) -> String,
    ) -> Result<T> {
        self.check()?;
        if self.terminal {
            write!(io::stdout(), "  {what} ...")?;
            io::stdout().flush()?;
        }
        let begun = Instant::now();
        let done = step();
        let took = begun.elapsed();
        let erase = if self.terminal { "\r\x1b[2K" } else { "" };
        match done {
            Ok(value) => {
                let text = format!("{what}{}", outcome(&value));
                writeln!(io::stdout(), "{erase}  {text:<WIDTH$} {:>10}", milliseconds(took))?;
                Ok(value)
            }
            Err(error) => {
                writeln!(io::stdout(), "{erase}  {what:<WIDTH$} {:>10}", "failed")?;
                Err(error)
            }
        }
    }

    /// Tries until it succeeds or `limit` has passed.
    ///
    /// # Errors
    /// That of the last try.
    pub(super) fn until<T>(&self, limit: Duration, mut attempt: impl FnMut() -> io::Result<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            self.check()?;
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) if begun.elapsed() > limit => {
                    return Err(CliError::because("the container does not answer", error));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// The time of all steps so far.
    pub(super) fn total(&self) -> String {
        milliseconds(self.begun.elapsed())
    }

    fn check(&self) -> Result<()> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(CliError::new("interrupted").with_exit_code(130)),
            false => Ok(()),
        }
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
