//! The index: a SQLite database of images, names, layers and volumes, opened by the first query.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use rusqlite::{Connection, FileControl, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::layer::LayerInfo;
use crate::lock::NamedLock;
use crate::space::NoSpace;
use crate::store::{Store, is_open, part};

/// The version of the schema that is written (`PRAGMA user_version`).
const VERSION: i64 = 2;

/// How long a writer waits for another process's transaction; none takes longer than milliseconds.
const BUSY: Duration = Duration::from_secs(20);

/// All of it but [`DIGESTS`].
const SCHEMA: &str = "
CREATE TABLE images (
    id TEXT PRIMARY KEY,
    manifest_digest TEXT NOT NULL,
    index_digest TEXT,
    size_bytes INTEGER NOT NULL,
    created TEXT,
    architecture TEXT NOT NULL,
    os TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE image_layers (
    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    diff_id TEXT NOT NULL,
    PRIMARY KEY (image_id, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE names (
    name TEXT PRIMARY KEY,
    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    manifest_digest TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_image ON names(image_id);
CREATE TABLE layers (
    diff_id TEXT PRIMARY KEY,
    size_bytes INTEGER NOT NULL,
    files INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE volumes (
    name TEXT PRIMARY KEY,
    created_seconds INTEGER NOT NULL,
    labels TEXT NOT NULL,
    anonymous INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What version 1, which knew one manifest for each image, lacks.
const DIGESTS: &str = "
CREATE TABLE digests (
    image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
    repository TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (image_id, repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX digests_by_digest ON digests(digest);
";

/// From version 1 to version 2, besides [`DIGESTS`].
const MANIFEST_OF_NAME: &str = "
ALTER TABLE names ADD COLUMN manifest_digest TEXT;
UPDATE names SET manifest_digest = (SELECT manifest_digest FROM images WHERE id = image_id);
";

/// The index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite failed.
    #[error("the index {path:?} of the store cannot be used")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The lock under which the index is made cannot be had.
    #[error("cannot make the index {path:?} of the store")]
    Lock {
        /// The database.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It cannot be made, or not be closed to other users.
    #[error("cannot keep the index {path:?} of the store from other users")]
    Private {
        /// The database.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Written by a later version.
    #[error("the index {path:?} has version {found}, later than this program knows ({known})")]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that is known.
        known: i64,
    },
    /// The disk is full.
    #[error("the index {path:?} of the store cannot be written")]
    NoSpace {
        /// The database.
        path: PathBuf,
        /// Which disk.
        source: NoSpace,
    },
    /// A row that this program cannot have written.
    #[error("the index {path:?} has a damaged entry: {entry:?}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The text that makes no sense.
        entry: String,
    },
}

impl IndexError {
    /// What a user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooNew { .. } => "use the version that wrote it",
            Self::NoSpace { .. } => "free some space there; then `gaufre system prune` frees more",
            _ => "`gaufre system check --repair` makes it anew from what the store holds",
        }
    }
}

impl Store {
    /// Runs `query` on the index, with no transaction of its own.
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.index_path();
        let connection = match &mut *index {
            Some(connection) => connection,
            None => index.insert(self.open_index(&path)?),
        };
        query(connection).map_err(|source| self.index_failed(&path, source))
    }

    fn index_failed(&self, path: &Path, source: rusqlite::Error) -> IndexError {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(DiskFull) => IndexError::NoSpace { path, source: NoSpace::at(&self.root) },
            Some(CannotOpen | SystemIoFailure) if self.is_full() => {
                IndexError::NoSpace { path, source: NoSpace::at(&self.root) }
            }
            _ => IndexError::Sqlite { path, source },
        }
    }

    /// Closes the index until the next query. The last one to close it tidies up on disk: better while nobody waits.
    pub fn close_index(&self) {
        drop(self.index.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Runs `change` in one transaction.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, IndexError> {
        self.read(|connection| {
            // Immediate: a transaction that begins by reading cannot wait for the write lock later.
            let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    pub(crate) fn index_layer(&self, info: &LayerInfo) -> Result<(), IndexError> {
        self.write(|index| {
            index.execute(
                "INSERT OR REPLACE INTO layers (diff_id, size_bytes, files) VALUES (?1, ?2, ?3)",
                (info.diff_id.as_ref(), info.size_bytes.cast_signed(), info.files.cast_signed()),
            )
        })?;
        Ok(())
    }

    fn open_index(&self, path: &Path) -> Result<Connection, IndexError> {
        let failed = |source| self.index_failed(path, source);
        self.make_room_for_index().map_err(|source| IndexError::NoSpace { path: path.to_owned(), source })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        self.make_index_private().map_err(|source| IndexError::Private { path: path.to_owned(), source })?;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        // FULL: a transaction that was reported as done is still there after a power cut.
        // The limit: what is in the log has no use once the last connection has moved it into the database.
        const SETTINGS: &str =
            "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 0;";
        connection.execute_batch(SETTINGS).map_err(failed)?;
        // The log and its index stay, empty, where each of many short processes would make and remove them again.
        connection.file_control(Some(rusqlite::MAIN_DB), FileControl::PersistWal(&mut 1)).map_err(failed)?;
        match version(&connection).map_err(failed)? {
            VERSION => Ok(connection),
            0 | 1 => {
                // SQLite does not wait where two processes switch a new database to WAL at once.
                let _lock = self
                    .part(part::LOCKS)
                    .and_then(|locks| NamedLock::wait(locks, "index"))
                    .map_err(|source| IndexError::Lock { path: path.to_owned(), source })?;
                make(&connection).map_err(failed)?;
                Ok(connection)
            }
            found => Err(IndexError::TooNew { path: path.to_owned(), found, known: VERSION }),
        }
    }

    /// Makes the empty file, or closes one that was open to others than its owner. SQLite gives what it makes beside
    /// it the same mode. Nothing is opened here: closing it would end the locks of this process's other connections.
    fn make_index_private(&self) -> io::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::mknodat(&self.dir, part::INDEX[0], FileType::RegularFile, mode, 0) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        for name in part::INDEX {
            match rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat)
                    if is_open(&stat) && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile =>
                {
                    match rustix::fs::chmodat(&self.dir, name, mode, AtFlags::empty()) {
                        // SQLite removes what is beside it with its last connection.
                        Ok(()) | Err(Errno::NOENT) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join(part::INDEX[0])
    }

    pub(crate) fn damaged(&self, entry: &str) -> IndexError {
        IndexError::Damaged { path: self.index_path(), entry: entry.to_owned() }
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", (), |row| row.get(0))
}

fn make(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    match version(&transaction)? {
        0 => {
            transaction.execute_batch(SCHEMA)?;
            transaction.execute_batch(DIGESTS)?;
        }
        1 => {
            transaction.execute_batch(MANIFEST_OF_NAME)?;
            transaction.execute_batch(DIGESTS)?;
            crate::images::record_all(&transaction)?;
        }
        // Another process was first.
        _ => return transaction.commit(),
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
