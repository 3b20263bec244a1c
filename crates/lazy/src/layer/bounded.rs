//! A stream that may not be longer than promised.

use std::io::{self, BufRead, Read};

/// Gives what its source gives, counts it, and fails with [`io::ErrorKind::FileTooLarge`] where the limit is passed.
#[derive(Debug)]
pub struct Bounded<R> {
    source: R,
    read_bytes: u64,
    limit_bytes: u64,
}

impl<R: BufRead> Bounded<R> {
    /// At most `limit_bytes` of `source`.
    pub fn new(source: R, limit_bytes: u64) -> Self {
        Self { source, read_bytes: 0, limit_bytes }
    }

    /// What was read so far.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = self.limit_bytes - self.read_bytes;
        let bytes = self.source.fill_buf()?;
        if left == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(&bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, len: usize) {
        self.source.consume(len);
        self.read_bytes += len as u64;
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        self.consume(len);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_as_long_as_its_limit_passes_and_a_longer_one_fails() {
        let mut all = Vec::new();
        Bounded::new(&b"1234"[..], 4).read_to_end(&mut all).unwrap();
        assert_eq!(all, b"1234");
        let error = Bounded::new(&b"12345"[..], 4).read_to_end(&mut all).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
