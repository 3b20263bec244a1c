//! One entry of the archive, made a file.

use std::ffi::CString;
use std::io::BufRead;

use gaufre_lazy::layer::{Entry, Kind, LayerError, Meaning, Reader, allowed, join, link_target, meaning};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Uid};

use super::directories::{is_whiteout, stat, times};
use super::parents::Parent;
use super::{Unpacker, attributes};
use crate::record::{Inode, Step};
use crate::tree;

/// Longest target of a symbolic link that Linux takes.
const MAX_TARGET_BYTES: usize = 4095;

impl Unpacker<'_> {
    /// Makes what `entry` says; its data is taken from `data`.
    pub(super) fn entry(&mut self, entry: Entry, data: &mut Reader<impl BufRead>) -> Result<(), LayerError> {
        match meaning(&entry.path, self.limits)? {
            Meaning::Ignored => Ok(()),
            Meaning::Root if entry.kind == Kind::Directory => self.root(entry),
            Meaning::Root => Err(LayerError::entry(&entry.path, "the root of a layer must be a directory")),
            Meaning::Opaque { dir } => {
                let parent = self.parent(&dir)?;
                self.opaque(&parent);
                Ok(())
            }
            Meaning::Whiteout { dir, name } => {
                let (parent, name, path) = self.place(&dir, name)?;
                self.whiteout(&parent, &name, &path)
            }
            Meaning::File { dir, name } => {
                let (parent, name, path) = self.place(&dir, name)?;
                self.file(&parent, &name, &path, entry, data)
            }
        }
    }

    fn place(&mut self, dir: &[u8], name: Vec<u8>) -> Result<(Parent, CString, Vec<u8>), LayerError> {
        let parent = self.parent(dir)?;
        let path = join(&parent.path, &name);
        let name = CString::new(name).map_err(|_| LayerError::entry(&path, "its name contains a NUL"))?;
        Ok((parent, name, path))
    }

    fn file(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        mut entry: Entry,
        data: &mut Reader<impl BufRead>,
    ) -> Result<(), LayerError> {
        match std::mem::replace(&mut entry.kind, Kind::Directory) {
            Kind::Directory => self.directory(parent, name, path, entry),
            Kind::Regular { size_bytes, holes } => {
                self.count()?;
                self.regular(parent, name, path, entry, (size_bytes, holes), data)
            }
            Kind::HardLink { target } => self.hard_link(parent, name, path, &target),
            Kind::Symlink { target } => self.symlink(parent, name, path, entry, target),
            // What overlayfs would read as a whiteout is one.
            Kind::Character { major: 0, minor: 0 } => self.whiteout(parent, name, path),
            Kind::Character { major, minor } => {
                let device = (FileType::CharacterDevice, major, minor);
                let inode = self.special(parent, name, path, entry, device)?;
                self.note(path, &Step::Character { inode, major, minor })
            }
            Kind::Block { major, minor } => {
                let inode = self.special(parent, name, path, entry, (FileType::BlockDevice, major, minor))?;
                self.note(path, &Step::Block { inode, major, minor })
            }
            Kind::Fifo => {
                let inode = self.special(parent, name, path, entry, (FileType::Fifo, 0, 0))?;
                self.note(path, &Step::Fifo { inode })
            }
        }
    }

    /// Hides `name` of the layers below. What this layer itself has there stays, whatever the order is.
    fn whiteout(&mut self, parent: &Parent, name: &CString, path: &[u8]) -> Result<(), LayerError> {
        match stat(parent, name).map_err(|error| LayerError::io("look up", path, error))? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                self.opaque(&Parent { fd: parent.fd.clone(), path: path.into() });
                Ok(())
            }
            Some(_) => Ok(()),
            None => {
                self.count()?;
                rustix::fs::mknodat(&*parent.fd, name, FileType::CharacterDevice, Mode::empty(), 0)
                    .map_err(|error| LayerError::io("make the whiteout", path, error))?;
                if let Some(whiteouts) = self.directories.whiteouts_mut(&parent.path) {
                    *whiteouts += 1;
                }
                self.note(path, &Step::Whiteout)
            }
        }
    }

    /// A second name for a file of this layer. Links on the way to it are refused: which file is meant would
    /// depend on where the layer is unpacked.
    fn hard_link(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        raw: &[u8],
    ) -> Result<(), LayerError> {
        self.count()?;
        let (dir, target) = link_target(raw, self.limits)?;
        let target_path = join(&dir, &target);
        if target_path == path {
            return Err(LayerError::entry(path, "it is a hard link to itself"));
        }
        let failed = |error| LayerError::io("make the hard link", path, error);
        let from = self.parents.find_without_links(&dir).map_err(failed)?;
        let found =
            rustix::fs::statat(&from, target.as_slice(), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        if FileType::from_raw_mode(found.st_mode).is_dir() || is_whiteout(&found) {
            return Err(LayerError::entry(path, "it is a hard link to something that is no file"));
        }
        self.make_room(parent, name, path)?;
        // Without AT_SYMLINK_FOLLOW a link to a link is that link, not what it points at.
        rustix::fs::linkat(&from, target.as_slice(), &*parent.fd, name, AtFlags::empty()).map_err(failed)?;
        self.note(path, &Step::HardLink { target: target_path })
    }

    fn symlink(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        entry: Entry,
        target: Vec<u8>,
    ) -> Result<(), LayerError> {
        self.count()?;
        if target.is_empty() || target.len() > MAX_TARGET_BYTES {
            return Err(LayerError::entry(path, "its target is empty or too long"));
        }
        self.make_room(parent, name, path)?;
        rustix::fs::symlinkat(target.as_slice(), &*parent.fd, name)
            .map_err(|error| LayerError::io("make the symbolic link", path, error))?;
        // A link has no mode of its own.
        let inode = self.finish_at(parent, name, path, Entry { mode: 0o777, ..entry }, false)?;
        self.note(path, &Step::Symlink { inode, target })
    }

    fn special(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        entry: Entry,
        (kind, major, minor): (FileType, u32, u32),
    ) -> Result<Inode, LayerError> {
        self.count()?;
        self.make_room(parent, name, path)?;
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(&*parent.fd, name, kind, Mode::empty(), device)
            .map_err(|error| LayerError::io("make the device node or FIFO", path, error))?;
        self.finish_at(parent, name, path, entry, true)
    }

    /// Owner, mode, attributes and time of a file that was just made and is not to be opened.
    fn finish_at(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        entry: Entry,
        has_mode: bool,
    ) -> Result<Inode, LayerError> {
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        if (uid, gid) != self.owner {
            rustix::fs::chownat(&*parent.fd, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| LayerError::io("change the owner of", path, error))?;
        }
        if has_mode {
            rustix::fs::chmodat(&*parent.fd, name, Mode::from_raw_mode(mode), AtFlags::empty())
                .map_err(|error| LayerError::io("change the mode of", path, error))?;
        }
        let xattrs = attributes::set_at(&*parent.fd, name.as_bytes(), path, allowed(xattrs))?;
        rustix::fs::utimensat(&*parent.fd, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| LayerError::io("set the time of", path, error))?;
        Ok(Inode { mode, uid, gid, mtime, xattrs: attributes::checksum(&xattrs) })
    }

    /// Removes what has the name already: the later entry of an archive wins.
    pub(super) fn make_room(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
    ) -> Result<(), LayerError> {
        match stat(parent, name).map_err(|error| LayerError::io("look up", path, error))? {
            Some(stat) => self.replace(parent, name, path, &stat),
            None => Ok(()),
        }
    }

    pub(super) fn replace(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        former: &Stat,
    ) -> Result<(), LayerError> {
        let kind = FileType::from_raw_mode(former.st_mode);
        tree::remove(&*parent.fd, name).map_err(|error| LayerError::io("replace", path, error))?;
        if kind.is_dir() {
            self.directories.forget(path);
        }
        if is_whiteout(former)
            && let Some(whiteouts) = self.directories.whiteouts_mut(&parent.path)
        {
            *whiteouts -= 1;
        }
        if kind.is_dir() || kind.is_symlink() {
            self.parents.forget();
        }
        self.note(path, &Step::Removed)
    }
}
