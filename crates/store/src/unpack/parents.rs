//! The directory that an entry goes into, as a descriptor.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Entries come directory by directory, so few are needed at a time.
const KEPT: usize = 64;
/// How often a resolution is repeated that a rename elsewhere on the machine disturbed (openat2(2), `EAGAIN`).
const RETRIES: usize = 64;

/// A directory of the layer, held open.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) fd: Rc<OwnedFd>,
    /// Its real path in the layer: no component is a link.
    pub(crate) path: Rc<[u8]>,
}

/// Directories of the layer by the names that entries call them.
#[derive(Debug)]
pub(crate) struct Parents {
    root: OwnedFd,
    /// The layer's root as the kernel names it.
    root_path: Vec<u8>,
    open: HashMap<Vec<u8>, Parent>,
}

impl Parents {
    pub(crate) fn new(root: OwnedFd) -> io::Result<Self> {
        let root_path = real_path(&root)?;
        Ok(Self { root, root_path, open: HashMap::new() })
    }

    /// The directory `path`; links on the way stay within the layer. `Ok(None)` if it does not exist.
    pub(crate) fn find(&mut self, path: &[u8]) -> io::Result<Option<Parent>> {
        if let Some(parent) = self.open.get(path) {
            return Ok(Some(parent.clone()));
        }
        let parent = match self.open_dir(path, ResolveFlags::NO_SYMLINKS) {
            Ok(fd) => Parent { fd: Rc::new(fd), path: path.into() },
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => match self.open_dir(path, ResolveFlags::empty()) {
                Ok(fd) => {
                    let real = self.inner_path(&fd)?;
                    Parent { fd: Rc::new(fd), path: real.into() }
                }
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        };
        if self.open.len() >= KEPT {
            self.open.clear();
        }
        self.open.insert(path.to_vec(), parent.clone());
        Ok(Some(parent))
    }

    /// The directory `path` if no component is a link, for the target of a hard link.
    pub(crate) fn find_without_links(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        self.open_dir(path, ResolveFlags::NO_SYMLINKS)
    }

    /// Forgets all: a directory or a link has been replaced.
    pub(crate) fn forget(&mut self) {
        self.open.clear();
    }

    /// Opens a directory of the layer by its real path, for reading and for changing its attributes.
    pub(crate) fn open_real(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat2(&self.root, path, flags, ResolveFlags::NO_SYMLINKS)
    }

    fn open_dir(&self, path: &[u8], more: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        openat2(&self.root, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, more)
    }

    fn inner_path(&self, fd: &OwnedFd) -> io::Result<Vec<u8>> {
        let path = real_path(fd)?;
        let inner = path.strip_prefix(self.root_path.as_slice()).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(inner.strip_prefix(b"/").unwrap_or(inner).to_vec())
    }
}

fn openat2(root: &OwnedFd, path: &[u8], flags: OFlags, more: ResolveFlags) -> rustix::io::Result<OwnedFd> {
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), within | more) {
            Err(Errno::AGAIN) if tries < RETRIES => tries += 1,
            other => return other,
        }
    }
}

/// What `/proc/self/fd` says about a descriptor.
fn real_path(fd: impl AsFd) -> io::Result<Vec<u8>> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    Ok(std::fs::read_link(link)?.as_os_str().as_bytes().to_vec())
}
