//! Named volumes: directories that outlive sandboxes.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::path::PathBuf;

use rusqlite::OptionalExtension;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use crate::index::IndexError;
use crate::lock::NamedLock;
use crate::sandbox::is_id;
use crate::staging::Staged;
use crate::store::{Store, part};
use crate::tree;

/// A volume as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRecord {
    /// Its name.
    pub name: String,
    /// The directory with its data, for a bind mount.
    pub path: PathBuf,
    /// When it was made, in seconds since the epoch.
    pub created_seconds: i64,
    /// What the user attached to it.
    pub labels: BTreeMap<String, String>,
    /// Whether it was made for one sandbox, without a name of the user's.
    pub anonymous: bool,
}

/// A volume that cannot be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Not usable as a file name.
    #[error(
        "{name:?} cannot be the name of a volume: letters, digits, `_`, `.` and `-` can, beginning with one of the first three"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Longer than a file name may be.
    #[error("the name of a volume has {len_bytes} letters, and may have {LONGEST_NAME_BYTES}")]
    LongName {
        /// What was given, in bytes.
        len_bytes: usize,
    },
    /// There is one of that name.
    #[error("the volume {name:?} exists already")]
    Exists {
        /// The name.
        name: String,
    },
    /// Its directory.
    #[error("cannot {action} the volume {name:?}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The volumes of a store.
#[derive(Debug, Clone, Copy)]
pub struct Volumes<'a> {
    store: &'a Store,
}

/// As long as a file name (`NAME_MAX`).
const LONGEST_NAME_BYTES: usize = 255;
/// What a volume's directory is called while it is being removed.
const REMOVED: &CStr = c"removed";

fn check_name(name: &str) -> Result<(), VolumeError> {
    if name.len() > LONGEST_NAME_BYTES {
        return Err(VolumeError::LongName { len_bytes: name.len() });
    }
    if is_id(name) { Ok(()) } else { Err(VolumeError::Name { name: name.to_owned() }) }
}

impl Store {
    /// The volumes of this store.
    pub fn volumes(&self) -> Volumes<'_> {
        Volumes { store: self }
    }
}

impl Volumes<'_> {
    /// Makes a volume: an empty directory, mode 0755 root, in one that nobody but root enters.
    ///
    /// # Errors
    /// [`VolumeError::Exists`] if there is one of that name.
    pub fn create(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        anonymous: bool,
    ) -> Result<VolumeRecord, VolumeError> {
        match self.find_or_make(name, labels, anonymous)? {
            (volume, true) => Ok(volume),
            (_, false) => Err(VolumeError::Exists { name: name.to_owned() }),
        }
    }

    /// The volume of that name, which is made without labels if there is none.
    ///
    /// # Errors
    /// It cannot be made or found.
    pub fn get_or_create(&self, name: &str, anonymous: bool) -> Result<VolumeRecord, VolumeError> {
        // Mostly it is there, and nobody has to be waited for.
        match self.get(name)? {
            Some(volume) => Ok(volume),
            None => Ok(self.find_or_make(name, &BTreeMap::new(), anonymous)?.0),
        }
    }

    /// The volume of that name, and whether it was made by this call.
    fn find_or_make(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
        anonymous: bool,
    ) -> Result<(VolumeRecord, bool), VolumeError> {
        check_name(name)?;
        let failed = |source| VolumeError::Io { action: "make", name: name.to_owned(), source };
        let _lock = self.lock().map_err(failed)?;
        if let Some(volume) = self.get(name)? {
            return Ok((volume, false));
        }
        // The directory first: a row stands for one that is there. A directory without a row is empty, as
        // `remove` takes the directory away before the row; a row without a directory is what a killed one left.
        self.make_dir(name).map_err(failed)?;
        let labels_json = serde_json::to_string(labels).map_err(|error| failed(error.into()))?;
        self.store.write(|index| {
            index.execute(
                "INSERT OR REPLACE INTO volumes (name, created_seconds, labels, anonymous)
                 VALUES (?1, unixepoch(), ?2, ?3)",
                (name, labels_json, anonymous),
            )
        })?;
        let volume = self.get(name)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        Ok((volume, true))
    }

    /// The volume of that name; `None` if there is none.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<VolumeRecord>, VolumeError> {
        let sql = "SELECT name, created_seconds, labels, anonymous FROM volumes WHERE name = ?1";
        let found =
            self.store.read(|index| index.query_row(sql, [name], |row| self.record(row)).optional())?;
        Ok(found.filter(|volume| volume.path.is_dir()))
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn list(&self) -> Result<Vec<VolumeRecord>, VolumeError> {
        let sql = "SELECT name, created_seconds, labels, anonymous FROM volumes ORDER BY name";
        let found: Vec<_> =
            self.store.read(|index| index.prepare(sql)?.query_map((), |row| self.record(row))?.collect())?;
        Ok(found.into_iter().filter(|volume| volume.path.is_dir()).collect())
    }

    /// Removes a volume with its data; whether it was there. Whether a sandbox uses it is for the caller to know.
    ///
    /// # Errors
    /// Its data cannot be removed, or the index cannot be written.
    pub fn remove(&self, name: &str) -> Result<bool, VolumeError> {
        if !is_id(name) {
            return Ok(false);
        }
        let failed = |source| VolumeError::Io { action: "remove", name: name.to_owned(), source };
        let lock = self.lock().map_err(failed)?;
        let bin = self.take_out(name).map_err(failed)?;
        let rows = self.store.write(|index| index.execute("DELETE FROM volumes WHERE name = ?1", [name]))?;
        // For the files, which may be many, nobody waits.
        drop(lock);
        if let Some(bin) = bin {
            tree::remove(bin.dir(), REMOVED).map_err(failed)?;
        }
        Ok(rows > 0)
    }

    /// Moves the directory of a volume to where nobody finds it; `None` if there is none.
    fn take_out(&self, name: &str) -> io::Result<Option<Staged>> {
        let volumes = self.store.part(part::VOLUMES)?;
        if let Err(Errno::NOENT) = rustix::fs::statat(&volumes, name, AtFlags::SYMLINK_NOFOLLOW) {
            return Ok(None);
        }
        let bin = Staged::new(self.store.part(part::STAGING)?)?;
        rustix::fs::renameat(volumes, name, bin.dir(), REMOVED)?;
        Ok(Some(bin))
    }

    /// Keeps others from making or removing volumes: directory and row come and go as one.
    fn lock(&self) -> io::Result<NamedLock> {
        NamedLock::wait(self.store.part(part::LOCKS)?, "volumes")
    }

    fn make_dir(&self, name: &str) -> io::Result<()> {
        let volumes = self.store.part(part::VOLUMES)?;
        for (path, mode) in [(name.to_owned(), 0o700), (format!("{name}/_data"), 0o755)] {
            match rustix::fs::mkdirat(&volumes, path.as_str(), Mode::from_raw_mode(0o700)) {
                Ok(()) => {
                    // Whatever the umask is.
                    let mode = Mode::from_raw_mode(mode);
                    rustix::fs::chmodat(&volumes, path.as_str(), mode, AtFlags::empty())?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn record(&self, row: &rusqlite::Row<'_>) -> rusqlite::Result<VolumeRecord> {
        let name: String = row.get(0)?;
        let labels: String = row.get(2)?;
        Ok(VolumeRecord {
            path: self.store.root.join(part::VOLUMES).join(&name).join("_data"),
            name,
            created_seconds: row.get(1)?,
            labels: serde_json::from_str(&labels).unwrap_or_default(),
            anonymous: row.get(3)?,
        })
    }
}
