//! JSON files that are replaced whole, so that a reader or a crash never sees half of one.

use rustix::fs::{CWD, RenameFlags};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} is damaged", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where.
        source: serde_json::Error,
    },
}

/// Reads the record at `path`; `None` when there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match read_file(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| RecordError::Parse { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(RecordError::Read { path: path.to_owned(), source }),
    }
}

/// Reads a small file in as few system calls as can be: a list of sandboxes reads hundreds.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut bytes = vec![0; USUAL_BYTES];
    // A regular file gives less than was asked for at its end only (read(2)).
    let count = file.read(&mut bytes)?;
    bytes.truncate(count);
    if count == USUAL_BYTES {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

const USUAL_BYTES: usize = 8 * 1024;

/// Replaces the record at `path`. `durable` also survives a power cut, at the price of waiting for the disk.
pub(crate) fn replace_json<T: Serialize>(path: &Path, value: &T, durable: bool) -> Result<(), RecordError> {
    let fail = |source| RecordError::Write { path: path.to_owned(), source };
    let bytes = serde_json::to_vec(value).map_err(|error| fail(error.into()))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        // Environments hold secrets: nobody else reads this.
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_data()?;
            fs::rename(&temporary, path)
        } else {
            take_place(&temporary, path)
        }
    })();
    written.map_err(|source| {
        // The half-written file is of no use to anybody; the record itself is untouched.
        let _ = fs::remove_file(&temporary);
        fail(source)
    })
}

/// Puts `new` where `path` is, in one step. ext4 starts writing out a file that is renamed over another, so that a power
/// cut finds the one or the other (ext4(5), `auto_da_alloc`); whoever deletes that file a moment later waits for the
/// disk. Exchanging the two (renameat2(2), Linux 3.15) is as atomic for readers and promises nothing to the disk.
fn take_place(new: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => fs::remove_file(new),
        // There is none yet, or this filesystem cannot exchange.
        Err(_) => fs::rename(new, path),
    }
}
