//! Our standard input on its way to the workload.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, read};
use rustix::stdio::stdin;

use super::detach_keys::{DetachKeys, Scanner};

/// Fits into an empty Unix socket or pipe in one go.
const CHUNK: usize = 16 * 1024;

/// Our standard input, and what of it has not been passed on yet.
#[derive(Debug)]
pub(super) struct Input {
    keys: Option<Scanner>,
    pending: Vec<u8>,
    taken: usize,
    open: bool,
    detached: bool,
}

impl Input {
    /// Input that is not passed on at all where not `wanted`; `keys` leave the session.
    pub(super) fn new(wanted: bool, keys: Option<&DetachKeys>) -> Self {
        let keys = keys.map(Scanner::new);
        Self { keys, pending: Vec::new(), taken: 0, open: wanted, detached: false }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'static> {
        stdin()
    }

    /// Whether more can be read and there is room for it.
    pub(super) fn wants_more(&self) -> bool {
        self.open && self.pending.is_empty()
    }

    /// Whether the end has been reached and everything before it passed on.
    pub(super) fn is_at_end(&self) -> bool {
        !self.open && self.pending.is_empty()
    }

    /// Whether the detach keys were pressed.
    pub(super) fn is_detached(&self) -> bool {
        self.detached && self.pending.is_empty()
    }

    /// Reads once; to be called when poll(2) says that there is something.
    pub(super) fn fill(&mut self) {
        let mut chunk = vec![0; CHUNK];
        let len = match read(self.fd(), &mut chunk) {
            Ok(len) => len,
            Err(Errno::INTR | Errno::AGAIN) => return,
            // A terminal that hung up or a directory at standard input: there is no more to come.
            Err(_) => 0,
        };
        self.open = len > 0;
        chunk.truncate(len);
        if let Some(keys) = &mut self.keys {
            let mut passed = Vec::with_capacity(len);
            if keys.scan(&chunk, &mut passed) {
                (self.detached, self.open) = (true, false);
            }
            chunk = passed;
        }
        (self.pending, self.taken) = (chunk, 0);
    }

    /// What has not been passed on yet.
    pub(super) fn pending(&self) -> &[u8] {
        self.pending.get(self.taken..).unwrap_or_default()
    }

    /// Passes everything on.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.pending);
        bytes.drain(..self.taken.min(bytes.len()));
        self.taken = 0;
        bytes
    }

    /// Passes on what `write` takes of it.
    ///
    /// # Errors
    /// Those of `write`, except that it would have to wait.
    pub(super) fn pass_on(&mut self, write: impl FnOnce(&[u8]) -> Result<usize, Errno>) -> io::Result<()> {
        match write(self.pending()) {
            Ok(len) => self.taken += len,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if self.pending().is_empty() {
            self.take();
        }
        Ok(())
    }

    /// Drops what is left: the workload does not read any more.
    pub(super) fn close(&mut self) {
        (self.open, self.pending) = (false, Vec::new());
        self.taken = 0;
    }
}
