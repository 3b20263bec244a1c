//! Reading whole files and streams, but never more than a limit.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// /dev/null, which stands for an empty file (major 1, minor 3; null(4)).
const NULL_DEVICE: u64 = 0x103;

/// Reads a regular file of at most `limit_bytes`; a FIFO or device put in its place is refused, not waited for;
/// /dev/null counts as an empty file.
pub(crate) fn read_file(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    if metadata.file_type().is_char_device() && metadata.rdev() == NULL_DEVICE {
        return Ok(Vec::new());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Known beforehand, as a rule: a system call instead of many that each ask for a little more.
    let expected = usize::try_from(metadata.len().min(limit_bytes)).unwrap_or_default();
    read_expecting(file, limit_bytes, expected + 1)
}

/// Reads to the end, or fails with `FileTooLarge` once more than `limit_bytes` came.
pub(crate) fn read(source: impl Read, limit_bytes: u64) -> io::Result<Vec<u8>> {
    read_expecting(source, limit_bytes, 0)
}

fn read_expecting(source: impl Read, limit_bytes: u64, expected_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(expected_bytes);
    source.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit_bytes {
        let message = format!("larger than the limit of {limit_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}
