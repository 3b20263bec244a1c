//! Stopping and killing sandboxes, and waiting for their end.

use crate::attach::{AttachStreams, Connection, KeeperFrame, connect};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::process::open_pidfd;
use crate::recover::recover;
use crate::sandbox::{FindError, Running, Sandbox, Status, UnreadableError};
use crate::settings::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A sandbox cannot be signalled or waited for.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// No sandbox goes by that name.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Its records cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    /// There is nothing to signal.
    #[error("cannot signal container {name}: it is not running")]
    NotRunning {
        /// Which.
        name: String,
    },
    /// The kernel refuses.
    #[error("cannot signal container {name}")]
    Signal {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The wish cannot be noted down.
    #[error("cannot ask container {name} to stop")]
    Ask {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Even SIGKILL did not end it.
    #[error("container {name} still runs {seconds} s after SIGKILL")]
    Unkillable {
        /// Which.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
}

impl Failure for StopError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Find(error) => error.hint(),
            Self::Unreadable(error) => error.hint(),
            _ => None,
        }
    }
}

/// How long a process may take to die of SIGKILL before we give up on it.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a sandbox that is about to run is waited for before its state is looked at again.
const STARTING: Duration = Duration::from_millis(20);

impl Engine {
    /// Asks the workload to stop with its stop signal, and after `timeout_s` seconds (the sandbox's own when `None`)
    /// ends it with SIGKILL. A sandbox that does not run is left as it is. Returns its ID.
    ///
    /// # Errors
    /// See [`StopError`].
    pub fn stop(&self, name: &str, timeout_s: Option<u32>) -> Result<String, StopError> {
        let sandbox = self.find(name)?;
        self.stop_sandbox(&sandbox, timeout_s)?;
        Ok(sandbox.id().to_string())
    }

    pub(crate) fn stop_sandbox(&self, sandbox: &Sandbox, timeout_s: Option<u32>) -> Result<(), StopError> {
        let settings = &sandbox.definition.settings;
        let timeout = Duration::from_secs(timeout_s.unwrap_or(settings.stop_timeout_s).into());
        if !is_active(&sandbox.status()?) {
            return Ok(());
        }
        request_stop(sandbox)?;
        // What is being started, or waits to be, may still come to run.
        let running = loop {
            match sandbox.status()? {
                Status::Running(running) => break running,
                Status::Created | Status::Exited(_) => return Ok(()),
                _ => drop(self.wait_for_end(sandbox, Some(STARTING))?),
            }
        };
        if !timeout.is_zero() {
            let signal = settings.stop_signal.map_or(sandbox.definition.process.stop_signal, Signal::number);
            send(sandbox, &running, signal)?;
            if self.wait_for_end(sandbox, Some(timeout))?.is_some() {
                return Ok(());
            }
        }
        send(sandbox, &running, Signal::KILL.number())?;
        match self.wait_for_end(sandbox, Some(KILL_TIMEOUT))? {
            Some(_) => Ok(()),
            None => Err(StopError::Unkillable {
                name: sandbox.name().to_owned(),
                seconds: KILL_TIMEOUT.as_secs(),
            }),
        }
    }

    /// Sends `signal` to the first process. One that ends it also ends its restart policy. Returns the ID.
    ///
    /// # Errors
    /// See [`StopError`].
    pub fn kill(&self, name: &str, signal: Signal) -> Result<String, StopError> {
        let sandbox = self.find(name)?;
        let Status::Running(running) = sandbox.status()? else {
            return Err(StopError::NotRunning { name: sandbox.name().to_owned() });
        };
        if signal == Signal::KILL || signal == Signal::TERM {
            request_stop(&sandbox)?;
        }
        send(&sandbox, &running, signal.number())?;
        Ok(sandbox.id().to_string())
    }

    /// Waits until the sandbox has ended, and gives its exit status; `None` when nobody saw it.
    ///
    /// # Errors
    /// See [`StopError`].
    pub fn wait(&self, name: &str) -> Result<Option<i32>, StopError> {
        let sandbox = self.find(name)?;
        if matches!(sandbox.status()?, Status::Created) {
            // As with podman: it waits for a start that may yet come.
            while matches!(sandbox.status()?, Status::Created) && sandbox.directory().exists() {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(self.wait_for_end(&sandbox, None)?.flatten())
    }

    /// Waits for the end of the sandbox's last run and of everything that is taken down after it. The outer `None`
    /// says that `timeout` passed first.
    pub(crate) fn wait_for_end(
        &self,
        sandbox: &Sandbox,
        timeout: Option<Duration>,
    ) -> Result<Option<Option<i32>>, StopError> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if !sandbox.directory().exists() {
                return Ok(Some(None)); // It went at its end.
            }
            if let Status::Exited(exit) = sandbox.status()? {
                return Ok(Some(exit.code));
            }
            if let Ok(socket) = connect(&sandbox.socket_path()) {
                let mut connection = Connection::open(socket, AttachStreams::default(), false);
                while let Ok(line) = &mut connection {
                    if !readable_before(line, deadline) {
                        return Ok(None);
                    }
                    match line.recv() {
                        Ok(Some(KeeperFrame::Exited { code })) => return Ok(Some(code)),
                        Ok(Some(_)) => {}
                        Ok(None) | Err(_) => break, // The keeper died.
                    }
                }
            }
            // The keeper has not come so far yet, has just gone, or has died.
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
            recover(&self.dirs, sandbox);
        }
    }
}

fn readable_before(connection: &Connection, deadline: Option<Instant>) -> bool {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(connection, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(_) => {} // Interrupted.
        }
    }
}

/// Whether there is, or should be, a keeper.
pub(crate) fn is_active(status: &Status) -> bool {
    !matches!(status, Status::Created | Status::Exited(_))
}

/// Leaves word for the keeper that no restart is wanted.
pub(crate) fn request_stop(sandbox: &Sandbox) -> Result<(), StopError> {
    match File::create(sandbox.stop_requested_path()) {
        // It has just ended by itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop).map_err(|source| StopError::Ask { name: sandbox.name().to_owned(), source }),
    }
}

fn send(sandbox: &Sandbox, running: &Running, signal: i32) -> Result<(), StopError> {
    // One that has ended in the meantime needs no signal any more.
    let Some(pidfd) = open_pidfd(running.pid, running.start_ticks) else { return Ok(()) };
    match crate::process::kill(pidfd.as_fd(), signal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => Ok(()),
        other => other.map_err(|source| StopError::Signal { name: sandbox.name().to_owned(), source }),
    }
}
