//! What the workload reads.

use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Input on its way into the workload.
#[derive(Debug)]
pub(super) struct Input {
    /// The writing end of a pipe, or the terminal's master; `None` once closed or never wanted.
    fd: Option<OwnedFd>,
    unsent: VecDeque<u8>,
    terminal: bool,
    closing: bool,
}

/// While more than this waits for the workload, no more is taken from clients.
const LIMIT_BYTES: usize = 256 * 1024;

impl Input {
    /// `fd` does not block.
    pub(super) fn new(fd: Option<OwnedFd>, terminal: bool) -> Self {
        Self { fd, unsent: VecDeque::new(), terminal, closing: false }
    }

    /// What a holder has to keep open, so that the workload does not see an end of its input that is none.
    pub(super) fn held(&self) -> Option<BorrowedFd<'_>> {
        if self.terminal { None } else { self.fd.as_ref().map(AsFd::as_fd) }
    }

    /// What to poll for room, while something waits.
    pub(super) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        if self.unsent.is_empty() { None } else { self.fd.as_ref().map(AsFd::as_fd) }
    }

    /// Whether clients may go on.
    pub(super) fn keeps_up(&self) -> bool {
        self.unsent.len() < LIMIT_BYTES
    }

    /// Adds input.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.fd.is_some() && !self.closing {
            self.unsent.extend(bytes);
            self.flush();
        }
    }

    /// There will be no more. A terminal is not closed by that: its other users go on.
    pub(super) fn close(&mut self) {
        if !self.terminal {
            self.closing = true;
            self.flush();
        }
    }

    /// Gives the workload what it can take.
    pub(super) fn flush(&mut self) {
        while let (Some(fd), false) = (&self.fd, self.unsent.is_empty()) {
            let (front, _) = self.unsent.as_slices();
            match rustix::io::write(fd, front) {
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                // The workload has closed its end.
                Err(_) => {
                    self.unsent.clear();
                    self.fd = None;
                }
            }
        }
        if self.closing && self.unsent.is_empty() {
            self.fd = None;
        }
    }

    /// Tells the workload's terminal its size.
    pub(super) fn resize(&self, rows: u16, cols: u16) {
        if let (Some(fd), true) = (&self.fd, self.terminal) {
            let _ = tcsetwinsize(fd, Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 });
        }
    }
}
