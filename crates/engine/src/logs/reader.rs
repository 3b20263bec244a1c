//! Reading a log, from its oldest file to the one being written, and on while it grows.

use super::record::LogRecord;
use super::tail;
use super::writer::rotated;
use crate::failure::Failure;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// The sandbox keeps no log.
    #[error("container {id} keeps no log: it was created with --log-driver none")]
    NoLog {
        /// Which.
        id: String,
    },
}

impl Failure for LogsError {
    fn hint(&self) -> Option<String> {
        if let Self::Find(error) = self { error.hint() } else { None }
    }
}

/// The records of a log, in order, read as they are asked for.
pub struct LogIter {
    path: PathBuf,
    options: LogsOptions,
    /// The files after the current one, the oldest first.
    pending: VecDeque<File>,
    current: Option<BufReader<File>>,
    /// The start of a line whose end has not been read yet.
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

/// How often a log that is followed is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl LogIter {
    pub(crate) fn open(
        path: &Path,
        options: LogsOptions,
        alive: Box<dyn FnMut() -> bool>,
    ) -> Result<Self, LogsError> {
        let fail = |source| LogsError::Read { path: path.to_owned(), source };
        let mut pending = VecDeque::from(files(path).map_err(fail)?);
        if let Some(tail) = options.tail {
            tail::skip_to_tail(&mut pending, tail).map_err(fail)?;
        }
        Ok(Self {
            path: path.to_owned(),
            options,
            pending,
            current: None,
            line: Vec::new(),
            alive,
            ending: false,
        })
    }

    /// The next wanted record of what is there; `None` at its end.
    fn next_record(&mut self) -> io::Result<Option<LogRecord>> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(next) = self.pending.pop_front() else { return Ok(None) };
                self.current = Some(BufReader::with_capacity(64 * 1024, next));
                continue;
            };
            let len = current.read_until(b'\n', &mut self.line)?;
            if len == 0 || self.line.last() != Some(&b'\n') {
                if self.pending.is_empty() {
                    return Ok(None);
                }
                // Half a line at the end of a finished file was left by a full disk or a power cut.
                self.line.clear();
                self.current = None;
                continue;
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
    fn follow(&mut self) -> io::Result<Option<LogRecord>> {
        loop {
            if let Some(record) = self.next_record()? {
                return Ok(Some(record));
            }
            if self.find_newer()? {
                continue;
            }
            if self.ending {
                return Ok(None);
            }
            let late = self.options.until.is_some_and(|until| Timestamp::now() > until);
            if !late && (self.alive)() {
                std::thread::sleep(LOOK_AGAIN);
            } else {
                // What was written between our last look and the end is read in one more turn.
                self.ending = true;
            }
        }
    }

    /// At the end of the current file: opens what has been begun since, and notices when the file itself has been
    /// begun anew. The current file stays current: something may have been written to it after our last look.
    fn find_newer(&mut self) -> io::Result<bool> {
        let Some(current) = &mut self.current else {
            self.pending = files(&self.path)?.into();
            return Ok(!self.pending.is_empty());
        };
        let ours = current.get_ref().metadata()?;
        if ours.len() < current.stream_position()? {
            current.seek(SeekFrom::Start(0))?;
            self.line.clear();
            return Ok(true);
        }
        let is_ours = |other: &Metadata| (other.dev(), other.ino()) == (ours.dev(), ours.ino());
        if std::fs::metadata(&self.path).map_or(true, |newest| is_ours(&newest)) {
            return Ok(false);
        }
        let mut newer = VecDeque::from(files(&self.path)?);
        if let Some(at) = newer.iter().position(|file| file.metadata().is_ok_and(|other| is_ours(&other))) {
            newer.drain(..=at);
        }
        self.pending = newer;
        Ok(!self.pending.is_empty())
    }
}

impl Iterator for LogIter {
    type Item = Result<LogRecord, LogsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = if self.options.follow { self.follow() } else { self.next_record() };
        next.map_err(|source| LogsError::Read { path: self.path.clone(), source }).transpose()
    }
}

/// The files of the log, the oldest first, each once even if they are rotated while we open them.
fn files(path: &Path) -> io::Result<Vec<File>> {
    let mut files: Vec<(File, (u64, u64))> = Vec::new();
    let names = std::iter::once(path.to_owned()).chain((1..).map(|number| rotated(path, number)));
    for (number, name) in names.enumerate() {
        let file = match File::open(&name) {
            Ok(file) => file,
            // The newest may be missing between two steps of a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        if files.iter().all(|(_, other)| *other != identity) {
            files.push((file, identity));
        }
    }
    Ok(files.into_iter().rev().map(|(file, _)| file).collect())
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
