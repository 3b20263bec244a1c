//! Signals as something that poll(2) can wait for.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gaufre_engine::settings::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::low_level::{emulate_default_handler, pipe, unregister};

/// Signals that no longer do what they do by default, but make this readable.
#[derive(Debug)]
pub(crate) struct Signals {
    wake: UnixStream,
    caught: Vec<(i32, Arc<AtomicBool>)>,
    actions: Vec<signal_hook::SigId>,
}

impl Signals {
    /// Catches what a session has to hear. Signals are kept from the moment of the call, so this comes before the
    /// workload is started.
    ///
    /// # Errors
    /// When no socket pair can be made or a signal cannot be caught.
    pub(crate) fn of_session(raw: bool, sig_proxy: bool) -> io::Result<Self> {
        match (raw, sig_proxy) {
            // They would leave the terminal in raw mode.
            (true, _) => Self::catch(&[SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT]),
            // They are meant for the workload.
            (false, true) => Self::catch(&[SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]),
            (false, false) => Self::catch(&[SIGWINCH]),
        }
    }

    fn catch(signals: &[i32]) -> io::Result<Self> {
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut this = Self { wake, caught: Vec::new(), actions: Vec::new() };
        for &signal in signals {
            let flag = Arc::new(AtomicBool::new(false));
            // In this order: who wakes up finds the flag set.
            this.actions.push(signal_hook::flag::register(signal, Arc::clone(&flag))?);
            this.actions.push(pipe::register(signal, write.try_clone()?)?);
            this.caught.push((signal, flag));
        }
        Ok(this)
    }

    /// What has come since the last call.
    pub(super) fn take(&mut self) -> Vec<Caught> {
        let mut drain = [0; 64];
        while matches!(self.wake.read(&mut drain), Ok(1..)) {}
        let come = self.caught.iter().filter(|(_, flag)| flag.swap(false, Ordering::AcqRel));
        come.filter_map(|(signal, _)| match *signal {
            SIGWINCH => Some(Caught::Resized),
            number => Signal::from_number(number).map(Caught::Other),
        })
        .collect()
    }
}

/// A signal that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caught {
    /// The terminal has another size.
    Resized,
    /// Any other.
    Other(Signal),
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for action in self.actions.drain(..) {
            unregister(action);
        }
    }
}

/// Ends this process as `signal` would have, after the terminal has been put back.
pub(super) fn die_of(signal: Signal) {
    super::terminal::restore();
    // Fails only for a signal that does not exist.
    let _ = emulate_default_handler(signal.number());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_kept_until_it_is_asked_for() {
        let mut signals = Signals::catch(&[SIGUSR2, SIGWINCH]).unwrap();
        assert_eq!(signals.take(), []);
        signal_hook::low_level::raise(SIGUSR2).unwrap();
        signal_hook::low_level::raise(SIGWINCH).unwrap();
        let expect = [Caught::Other("USR2".parse().unwrap()), Caught::Resized];
        assert_eq!(signals.take(), expect);
        assert_eq!(signals.take(), []);
    }
}
