//! Reading a log, from its oldest file to the one being written, and on while it grows.

use super::record::LogRecord;
use super::writer::rotated;
use crate::failure::Failure;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which part of a log is wanted.
#[derive(Debug, Clone, Default)]
pub struct LogsOptions {
    /// Only so many of the last lines.
    pub tail: Option<usize>,
    /// Only what was written at or after this time.
    pub since: Option<Timestamp>,
    /// Only what was written at or before this time.
    pub until: Option<Timestamp>,
    /// Go on while the sandbox runs.
    pub follow: bool,
}

/// The log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// No sandbox goes by that name.
    #[error(transparent)]
    Find(#[from] crate::sandbox::FindError),
    /// A file cannot be read.
    #[error("cannot read the log {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whether the sandbox runs is not to be found out.
    #[error("cannot tell whether the sandbox still runs")]
    State(#[from] crate::sandbox::RecordError),
    /// The sandbox keeps no log.
    #[error("sandbox {id} keeps no log: it was created with --log-driver none")]
    NoLog {
        /// Which.
        id: String,
    },
}

impl Failure for LogsError {}

/// The records of a log, in order.
pub struct LogIter {
    path: PathBuf,
    options: LogsOptions,
    /// Records picked for the tail before following begins.
    backlog: VecDeque<LogRecord>,
    current: Option<BufReader<File>>,
    /// The start of a line whose end has not been written yet.
    line: Vec<u8>,
    /// Says whether there may be more; asked when the end of the log is reached.
    alive: Box<dyn FnMut() -> bool>,
    ending: bool,
}

impl std::fmt::Debug for LogIter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogIter")
            .field("path", &self.path)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl LogIter {
    pub(crate) fn open(
        path: &Path,
        options: LogsOptions,
        alive: Box<dyn FnMut() -> bool>,
    ) -> Result<Self, LogsError> {
        let mut iter = Self {
            path: path.to_owned(),
            options,
            backlog: VecDeque::new(),
            current: None,
            line: Vec::new(),
            alive,
            ending: false,
        };
        iter.read_backlog()?;
        Ok(iter)
    }

    /// Reads all that is there now, keeping what the options ask for, and stays at the end of the newest file.
    fn read_backlog(&mut self) -> Result<(), LogsError> {
        let mut number = 1;
        while rotated(&self.path, number).exists() {
            number += 1;
        }
        let files: Vec<PathBuf> =
            (1..number).rev().map(|n| rotated(&self.path, n)).chain([self.path.clone()]).collect();
        // A line may be several records, so whole lines are counted.
        let mut lines = 0_usize;
        for path in files {
            let Some(mut file) = self.open_file(&path)? else { continue };
            while let Some(record) = self.next_record(&mut file)? {
                lines += usize::from(!record.partial);
                self.backlog.push_back(record);
                while self.options.tail.is_some_and(|tail| lines > tail) {
                    match self.backlog.pop_front() {
                        Some(record) => lines -= usize::from(!record.partial),
                        None => break,
                    }
                }
            }
            self.current = Some(file);
        }
        if self.options.tail == Some(0) {
            self.backlog.clear();
        }
        Ok(())
    }

    fn open_file(&self, path: &Path) -> Result<Option<BufReader<File>>, LogsError> {
        match File::open(path) {
            Ok(file) => Ok(Some(BufReader::with_capacity(64 * 1024, file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LogsError::Read { path: path.to_owned(), source }),
        }
    }

    /// The next wanted record of `file`; `None` at its end.
    fn next_record(&mut self, file: &mut BufReader<File>) -> Result<Option<LogRecord>, LogsError> {
        loop {
            let len = file
                .read_until(b'\n', &mut self.line)
                .map_err(|source| LogsError::Read { path: self.path.clone(), source })?;
            if len == 0 || self.line.last() != Some(&b'\n') {
                return Ok(None);
            }
            self.line.pop();
            let record = LogRecord::parse(&self.line);
            self.line.clear();
            match record {
                Some(record) if self.wanted(&record) => return Ok(Some(record)),
                _ => {}
            }
        }
    }

    fn wanted(&self, record: &LogRecord) -> bool {
        self.options.since.is_none_or(|since| record.time >= since)
            && self.options.until.is_none_or(|until| record.time <= until)
    }

    /// Waits for one more record; `None` when the sandbox has ended and all is read.
    fn follow(&mut self) -> Result<Option<LogRecord>, LogsError> {
        loop {
            if let Some(mut file) = self.current.take() {
                let record = self.next_record(&mut file)?;
                let replaced = record.is_none() && self.was_replaced(&file);
                if !replaced {
                    self.current = Some(file);
                }
                if record.is_some() {
                    return Ok(record);
                }
                if replaced {
                    self.line.clear();
                    continue;
                }
            } else {
                self.current = self.open_file(&self.path)?;
            }
            if self.ending {
                return Ok(None);
            }
            if (self.alive)() {
                std::thread::sleep(std::time::Duration::from_millis(20));
            } else {
                // What was written between our last look and the end is read in one more turn.
                self.ending = true;
            }
        }
    }

    fn was_replaced(&self, file: &BufReader<File>) -> bool {
        let Ok(ours) = file.get_ref().metadata() else { return false };
        std::fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) != (ours.dev(), ours.ino()))
    }
}

impl Iterator for LogIter {
    type Item = Result<LogRecord, LogsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.backlog.pop_front() {
            return Some(Ok(record));
        }
        if self.options.follow { self.follow().transpose() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogWriter, Stream};
    use super::*;
    use crate::settings::LogSettings;

    fn text(iter: LogIter) -> Vec<String> {
        iter.map(|r| String::from_utf8(r.unwrap().bytes).unwrap()).collect()
    }

    fn written(lines: u32, max_size_bytes: u64, max_files: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctr.log");
        let settings =
            LogSettings { max_size_bytes: Some(max_size_bytes), max_files, ..LogSettings::default() };
        let mut writer = LogWriter::open(&path, &settings).unwrap();
        for n in 0..lines {
            writer.write(Stream::Stdout, format!("line {n}\n").as_bytes()).unwrap();
        }
        (dir, path)
    }

    #[test]
    fn rotation_keeps_the_newest_lines_in_order() {
        let (_dir, path) = written(100, 1000, 3);
        let lines = text(LogIter::open(&path, LogsOptions::default(), Box::new(|| false)).unwrap());
        assert_eq!(lines.last().unwrap(), "line 99");
        assert!(lines.len() > 30 && lines.len() < 100, "{}", lines.len());
        let first = 100 - lines.len();
        assert_eq!(lines, (first..100).map(|n| format!("line {n}")).collect::<Vec<_>>());
        assert!(!rotated(&path, 3).exists());
    }

    #[test]
    fn the_tail_counts_lines_over_file_boundaries() {
        let (_dir, path) = written(100, 1000, 3);
        let options = LogsOptions { tail: Some(25), ..LogsOptions::default() };
        let lines = text(LogIter::open(&path, options, Box::new(|| false)).unwrap());
        assert_eq!(lines, (75..100).map(|n| format!("line {n}")).collect::<Vec<_>>());
    }

    #[test]
    fn following_reads_over_a_rotation_and_ends_with_the_sandbox() {
        let (_dir, path) = written(2, 1 << 20, 2);
        let settings = LogSettings { max_size_bytes: Some(150), max_files: 2, ..LogSettings::default() };
        let mut writer = LogWriter::open(&path, &settings).unwrap();
        let mut turns = 0;
        let alive = Box::new(move || {
            turns += 1;
            if turns <= 5 {
                writer.write(Stream::Stdout, format!("more {turns}\n").as_bytes()).unwrap();
            }
            turns < 6
        });
        let options = LogsOptions { follow: true, ..LogsOptions::default() };
        let lines = text(LogIter::open(&path, options, alive).unwrap());
        assert_eq!(lines, ["line 0", "line 1", "more 1", "more 2", "more 3", "more 4", "more 5"]);
    }
}
