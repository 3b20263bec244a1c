//! The keeper's end of a log.

use super::record::{Stream, append_records};
use crate::settings::LogSettings;
use jiff::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
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
    /// Opens the log for appending.
    pub(crate) fn open(path: &Path, settings: &LogSettings) -> io::Result<Self> {
        let file = open_append(path)?;
        let len_bytes = file.metadata()?.len();
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
        self.file.write_all(&records)?;
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

/// The name of the log file that is `number` rotations old.
pub(super) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
