//! Signals by number, and signals that arrive here as data.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::Signal;

use crate::sys;

/// `struct signalfd_siginfo` of linux/signalfd.h begins with the signal's number; this is its whole size.
const INFO_BYTES: usize = 128;

/// The signal with this number, 1 to 64: signal(7).
pub fn from_number(number: i32) -> Option<Signal> {
    sys::signals::from_number(number)
}

/// The signals sent to this process, held back and read like data: signalfd(2). What the process executes in a
/// sandbox starts with none of them blocked.
#[derive(Debug)]
pub struct SignalQueue {
    fd: OwnedFd,
}

impl SignalQueue {
    /// From here on no signal interrupts or ends this process; all of them are queued. Lasts as long as the process.
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub fn open() -> std::io::Result<Self> {
        Ok(Self { fd: sys::signals::block_and_queue()? })
    }

    /// The next signal in the queue; None when it is empty.
    ///
    /// # Errors
    /// The queue cannot be read.
    pub fn next(&self) -> std::io::Result<Option<Signal>> {
        let mut info = [0; INFO_BYTES];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut info)) {
            Ok(_) => {
                let [a, b, c, d, ..] = info;
                Ok(from_number(i32::from_ne_bytes([a, b, c, d])))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
