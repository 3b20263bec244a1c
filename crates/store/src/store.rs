//! Opening a store, and the directories that it consists of.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::Connection;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::lock::Lease;
use crate::tree;

/// What the store consists of, below its root.
pub(crate) mod part {
    /// Unpacked layers, one directory for each diff ID.
    pub(crate) const LAYERS: &str = "layers";
    /// Manifests and configs.
    pub(crate) const BLOBS: &str = "blobs";
    /// One directory for each sandbox.
    pub(crate) const SANDBOXES: &str = "sandboxes";
    /// Named volumes.
    pub(crate) const VOLUMES: &str = "volumes";
    /// What is half made, or half removed; each entry is locked by its living owner.
    pub(crate) const STAGING: &str = "staging";
    /// Lock files.
    pub(crate) const LOCKS: &str = "locks";
    /// Empty directories that stand below or above layers in an overlay.
    pub(crate) const BLANKS: &str = "blanks";
    /// The index, and what SQLite keeps beside it.
    pub(crate) const INDEX: [&str; 4] = ["index.db", "index.db-wal", "index.db-shm", "index.db-journal"];
    /// Room for the index when there is no other.
    pub(crate) const RESERVE: &str = "reserve";
    /// Says that the directory is a store, and of which layout. Written when all else is there.
    pub(crate) const FORMAT: &str = "format";
    /// All directories.
    pub(crate) const ALL: [&str; 8] =
        [LAYERS, BLOBS, "blobs/sha256", SANDBOXES, VOLUMES, STAGING, LOCKS, BLANKS];
}

/// The layout that this version writes and reads.
pub(crate) const FORMAT_TEXT: &str = "gaufre store, layout 1\n";

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// What lasts: `/var/lib/gaufre`.
    pub root: PathBuf,
    /// What a reboot may take: `/run/gaufre`. The store makes the directory and, so far, keeps nothing in it:
    /// its locks lie in `root`, so that two users of one root can never miss each other.
    pub run: PathBuf,
}

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory cannot be made or opened.
    #[error("cannot open the store's directory {path:?}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Made by a version whose layout this one does not know.
    #[error("the store {path:?} has a layout that this version does not know: {found:?}")]
    Layout {
        /// The store's root.
        path: PathBuf,
        /// What its `format` file says.
        found: String,
    },
}

impl OpenError {
    /// What a user can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "run as a user who may write there, or choose another root directory",
            Self::Layout { .. } => "use the version that made the store, or choose another root directory",
        }
    }
}

/// Images, layers and what runs from them, on disk. Any number of processes open one at a time.
#[derive(Debug)]
pub struct Store {
    pub(crate) root: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) dir: OwnedFd,
    /// Opened by the first query.
    pub(crate) index: Mutex<Option<Connection>>,
}

impl Store {
    /// Opens the store, and makes it if it is not there. Costs a few system calls; the index is opened later.
    ///
    /// # Errors
    /// [`OpenError`], which names the directory.
    pub fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let StoreOptions { root, run } = options;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error: io::Error| OpenError::Directory { path, source: error }
        };
        open_private(&run).map_err(failed(&run))?;
        let dir = open_private(&root).map_err(failed(&root))?;
        match read_format(&dir).map_err(failed(&root.join(part::FORMAT)))? {
            Some(text) if text == FORMAT_TEXT => close_parts(&dir).map_err(failed(&root))?,
            Some(found) => return Err(OpenError::Layout { path: root, found }),
            None => make_parts(&dir).map_err(failed(&root))?,
        }
        Ok(Self { root, run, dir, index: Mutex::new(None) })
    }

    /// The directory that all is kept in.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory for what a reboot may take.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Keeps garbage collection away from layers and blobs that no image refers to yet. Waits while one runs.
    ///
    /// # Errors
    /// The lock file cannot be opened.
    pub fn lease(&self) -> io::Result<Lease> {
        Lease::shared(self.part(part::LOCKS)?)
    }

    /// One of the store's own directories, open for reading.
    pub(crate) fn part(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.dir, name, flags, Mode::empty())?)
    }
}

/// Opens a directory that only its owner enters; it is made if it is not there, and missing parents as usual.
///
/// One that stood open is closed if it is surely the store's: empty as yet, or as earlier versions made it (0711).
/// Any other may be a directory that the machine needs, such as /run; what the store makes in it is closed by itself.
fn open_private(path: &Path) -> io::Result<OwnedFd> {
    use std::os::unix::fs::DirBuilderExt;
    if !path.is_dir() {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&dir)?;
    if is_open(&stat) && (stat.st_mode & 0o7777 == 0o711 || tree::names(dir.try_clone()?)?.is_empty()) {
        rustix::fs::fchmod(&dir, Mode::RWXU)?;
    }
    Ok(dir)
}

/// Whether others than its owner have any right to it, and the owner is us, who can change that.
pub(crate) fn is_open(stat: &Stat) -> bool {
    stat.st_mode & 0o077 != 0 && stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Closes directories that earlier versions left open: images and containers may put files there that make whoever
/// runs them root, and nobody but root has to come by that way. Containers see their files through mounts.
fn close_parts(dir: &OwnedFd) -> io::Result<()> {
    for name in part::ALL {
        match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_open(&stat) && FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                rustix::fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn read_format(dir: &OwnedFd) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(dir, part::FORMAT, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = [0; 64];
    let len = rustix::io::read(&file, &mut bytes)?;
    // Of length zero if the power went between its creation and its writing.
    Ok((len > 0).then(|| String::from_utf8_lossy(&bytes[..len]).into_owned()))
}

fn make_parts(dir: &OwnedFd) -> io::Result<()> {
    for name in part::ALL {
        match rustix::fs::mkdirat(dir, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Before the format file says that all is there.
    close_parts(dir)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, part::FORMAT, flags, Mode::from_raw_mode(0o600))?;
    rustix::io::write(&file, FORMAT_TEXT.as_bytes())?;
    Ok(())
}
