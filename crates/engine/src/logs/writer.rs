//! The keeper's end of a log.

use super::record::{Stream, append_records};
use crate::settings::LogSettings;
use jiff::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes records and starts a new file when the old one has grown too large: `ctr.log` becomes `ctr.log.1`, that
/// becomes `ctr.log.2`, and the oldest goes.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
    len_bytes: u64,
    settings: LogSettings,
}

impl LogWriter {
    /// Opens the log for appending. What a killed keeper left of a line is taken away.
    pub(crate) fn open(path: &Path, settings: &LogSettings) -> io::Result<Self> {
        let file = open_append(path)?;
        let len_bytes = whole_lines(&file)?;
        file.set_len(len_bytes)?;
        Ok(Self { path: path.to_owned(), file, len_bytes, settings: settings.clone() })
    }

    /// Writes what the workload wrote. The whole chunk goes out in one write, so that a kill of the keeper leaves it
    /// in the log or in the pipe.
    pub(crate) fn write(&mut self, stream: Stream, output: &[u8]) -> io::Result<()> {
        let mut records = Vec::with_capacity(output.len() + 64);
        append_records(&mut records, Timestamp::now(), stream, output);
        let records_len = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let limit = self.settings.max_size_bytes.unwrap_or(u64::MAX);
        if self.len_bytes > 0 && self.len_bytes.saturating_add(records_len) > limit {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(&records) {
            // Half a record would spoil the next. Shortening a file needs no room.
            let _ = self.file.set_len(self.len_bytes);
            return Err(error);
        }
        self.len_bytes += records_len;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let files = self.settings.max_files.max(1);
        for number in (1..files).rev() {
            let newer = if number == 1 { self.path.clone() } else { rotated(&self.path, number - 1) };
            match fs::rename(&newer, rotated(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if files == 1 {
            self.file.set_len(0)?;
        } else {
            self.file = open_append(&self.path)?;
        }
        self.len_bytes = 0;
        Ok(())
    }
}

/// The length of the file up to the end of its last whole line, in bytes.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = vec![0; BLOCK_BYTES];
    while end > 0 {
        let len = usize::try_from(end).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        let block = block.get_mut(..len).unwrap_or_default();
        let begin = end - u64::try_from(len).unwrap_or(end);
        file.read_exact_at(block, begin)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + u64::try_from(at).unwrap_or(0) + 1);
        }
        end = begin;
    }
    Ok(0)
}

const BLOCK_BYTES: usize = 64 * 1024;

/// The name of the log file that is `number` rotations old.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}
