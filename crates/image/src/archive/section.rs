//! A part of a file, read at its own position: many readers share one descriptor.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// `len_bytes` of a file from `offset` on.
#[derive(Clone, Debug)]
pub(super) struct Section {
    file: Arc<File>,
    offset: u64,
    len_bytes: u64,
}

impl Section {
    pub(super) fn new(file: Arc<File>, offset: u64, len_bytes: u64) -> Self {
        Self { file, offset, len_bytes }
    }

    pub(super) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.len_bytes).unwrap_or(usize::MAX).min(buffer.len());
        let len = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += len as u64;
        self.len_bytes -= len as u64;
        Ok(len)
    }
}
