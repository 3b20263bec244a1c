//! The keeper's own log, its standard error: bounded however long it runs and whatever goes wrong again and again.

use rustix::fs::{FileType, fstat, ftruncate};
use std::io::{self, Write};
use std::os::fd::AsFd;
use tracing_subscriber::fmt::MakeWriter;

/// Longer than this the log does not get, but for one message.
const LIMIT_BYTES: u64 = 64 * 1024;

/// Writes messages to `F`, a file opened for appending, which starts over when it has grown too long.
#[derive(Debug)]
pub(super) struct Bounded<F>(F);

/// The keeper's log.
pub(super) fn keeper_log() -> impl for<'a> MakeWriter<'a> {
    || Bounded(io::stderr())
}

impl<F: Write + AsFd> Write for Bounded<F> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let stat = fstat(&self.0)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && u64::try_from(stat.st_size).is_ok_and(|len_bytes| len_bytes > LIMIT_BYTES) {
            ftruncate(&self.0, 0)?;
            self.0.write_all(b"(what was said before was too much and has been dropped)\n")?;
        }
        self.0.write(message)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_log_that_is_written_to_for_ever_stays_small_and_ends_with_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keeper.log");
        let mut log = Bounded(File::options().append(true).create(true).open(&path).unwrap());
        for number in 0..5000 {
            log.write_all(format!("{number}: something cannot be written again\n").as_bytes()).unwrap();
            assert!(path.metadata().unwrap().len() < LIMIT_BYTES + 200);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("\n4999: something cannot be written again\n"), "{text}");
        assert!(text.starts_with("(what was said before"), "{text}");
    }

    #[test]
    fn what_is_no_file_is_written_to_as_it_is() {
        let (reader, writer) = io::pipe().unwrap();
        Bounded(writer).write_all(b"said").unwrap();
        assert_eq!(io::read_to_string(reader).unwrap(), "said");
    }
}
