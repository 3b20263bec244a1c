//! Directories of the layer: made plain at once, finished when nothing more goes into them.

use std::collections::BTreeMap;
use std::ffi::CString;

use gaufre_lazy::layer::{DirectoryBudget, Entry, LayerError, OPAQUE, ORIGIN, Time, allowed, join};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::parents::Parent;
use super::{Unpacker, attributes};
use crate::record::{Inode, Step};

/// What waits to be done to a directory.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Time,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    opaque: bool,
    /// How many there are in it.
    whiteouts: usize,
}

impl Waiting {
    /// A directory that the archive has files in but does not name.
    fn implied() -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Time::default(),
            xattrs: Vec::new(),
            opaque: false,
            whiteouts: 0,
        }
    }
}

/// All directories made so far, by their real paths.
#[derive(Debug, Default)]
pub(super) struct Directories {
    waiting: BTreeMap<Vec<u8>, Waiting>,
    budget: DirectoryBudget,
}

impl Directories {
    pub(super) fn make_root(&mut self) {
        self.waiting.insert(Vec::new(), Waiting::implied());
    }

    fn put(&mut self, path: &[u8], waiting: Waiting) -> Result<(), LayerError> {
        self.budget.take(path.len(), &waiting.xattrs)?;
        self.waiting.insert(path.to_vec(), waiting);
        Ok(())
    }

    /// The whiteouts in `path`, to be counted up or down.
    pub(super) fn whiteouts_mut(&mut self, path: &[u8]) -> Option<&mut usize> {
        self.waiting.get_mut(path).map(|waiting| &mut waiting.whiteouts)
    }

    /// Forgets `path` and all below it.
    pub(super) fn forget(&mut self, path: &[u8]) {
        let below = [path, b"/"].concat();
        self.waiting.retain(|held, _| held != path && !held.starts_with(&below));
    }
}

impl Unpacker<'_> {
    /// The directory that an entry goes into, made with its own missing parents if need be.
    pub(super) fn parent(&mut self, path: &[u8]) -> Result<Parent, LayerError> {
        let found =
            self.parents.find(path).map_err(|error| LayerError::io("open the directory", path, error));
        match found {
            Ok(Some(parent)) => return Ok(parent),
            Ok(None) => {}
            // A component may be a whiteout of this layer, which a directory replaces.
            Err(error) if path.is_empty() => return Err(error),
            Err(_) => {}
        }
        let split = path.iter().rposition(|&byte| byte == b'/');
        let (above, name) = split.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let above = self.parent(above)?;
        let real = join(&above.path, name);
        let name = CString::new(name).map_err(|_| LayerError::entry(path, "its name contains a NUL"))?;
        match stat(&above, &name).map_err(|error| LayerError::io("look up", path, error))? {
            None => self.make(&above, &name, &real, Waiting::implied())?,
            Some(stat) if is_whiteout(&stat) => {
                self.replace(&above, &name, &real, &stat)?;
                self.make(&above, &name, &real, Waiting { opaque: true, ..Waiting::implied() })?;
            }
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {}
            Some(_) => {
                return Err(LayerError::entry(
                    path,
                    "a file or a broken link stands where its directory must be",
                ));
            }
        }
        let again =
            self.parents.find(&real).map_err(|error| LayerError::io("open the directory", path, error))?;
        again.ok_or_else(|| LayerError::io("open the directory", path, Errno::NOENT))
    }

    /// An entry that is a directory.
    pub(super) fn directory(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        entry: Entry,
    ) -> Result<(), LayerError> {
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        let mut waiting =
            Waiting { mode, uid, gid, mtime, xattrs: allowed(xattrs), opaque: false, whiteouts: 0 };
        match stat(parent, name).map_err(|error| LayerError::io("look up", path, error))? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                if let Some(former) = self.directories.waiting.get(path) {
                    (waiting.opaque, waiting.whiteouts) = (former.opaque, former.whiteouts);
                }
                return self.directories.put(path, waiting);
            }
            Some(stat) => {
                waiting.opaque = is_whiteout(&stat);
                self.replace(parent, name, path, &stat)?;
            }
            None => {}
        }
        self.make(parent, name, path, waiting)
    }

    /// The archive's entry for the root itself.
    pub(super) fn root(&mut self, entry: Entry) -> Result<(), LayerError> {
        let root = self.directories.waiting.get(&b""[..]);
        let (opaque, whiteouts) = root.map_or((false, 0), |root| (root.opaque, root.whiteouts));
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        self.done.names_root = true;
        let xattrs = allowed(xattrs);
        self.directories.put(b"", Waiting { mode, uid, gid, mtime, xattrs, opaque, whiteouts })
    }

    /// `.wh..wh..opq` in `parent`.
    pub(super) fn opaque(&mut self, parent: &Parent) {
        if let Some(waiting) = self.directories.waiting.get_mut(&*parent.path) {
            waiting.opaque = true;
        }
        if parent.path.is_empty() {
            self.done.opaque_root = true;
        }
    }

    fn make(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        waiting: Waiting,
    ) -> Result<(), LayerError> {
        self.count()?;
        rustix::fs::mkdirat(&*parent.fd, name, Mode::RWXU)
            .map_err(|error| LayerError::io("make the directory", path, error))?;
        self.directories.put(path, waiting)
    }

    /// Gives every directory what its entry said.
    pub(super) fn finish_directories(&mut self) -> Result<(), LayerError> {
        for (path, waiting) in std::mem::take(&mut self.directories.waiting) {
            let failed = |error: Errno| LayerError::io("finish the directory", &path, error);
            let Waiting { mode, uid, gid, mtime, xattrs, opaque, whiteouts } = waiting;
            let dir = self.parents.open_real(&path).map_err(failed)?;
            if (uid, gid) != self.owner {
                rustix::fs::fchown(&dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                    .map_err(failed)?;
            }
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode)).map_err(failed)?;
            let xattrs = attributes::set(&dir, &path, xattrs)?;
            if opaque {
                rustix::fs::fsetxattr(&dir, OPAQUE, b"y", XattrFlags::empty()).map_err(failed)?;
            }
            if whiteouts > 0 {
                rustix::fs::fsetxattr(&dir, ORIGIN, b"", XattrFlags::empty()).map_err(failed)?;
            }
            rustix::fs::futimens(&dir, &times(mtime)).map_err(failed)?;
            let inode = Inode { mode, uid, gid, mtime, xattrs: attributes::checksum(&xattrs) };
            self.note(&path, &Step::Directory { inode, opaque })?;
        }
        Ok(())
    }
}

/// What `name` is now; `None` if it is not there.
pub(super) fn stat(parent: &Parent, name: &CString) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(&*parent.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Overlayfs hides what is below a character device 0:0.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0
}

/// Access and modification time both, as an archive has only the latter.
pub(super) fn times(mtime: Time) -> Timestamps {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: i64::from(mtime.nanoseconds) };
    Timestamps { last_access: time, last_modification: time }
}
