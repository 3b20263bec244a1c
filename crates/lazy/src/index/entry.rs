//! One entry of the archive: what it changes in the tree. Step for step what the store's unpacker does with a directory.

use std::io::{BufRead, Seek, Write};

use super::attributes::{Family, settle};
use super::output::Output;
use super::resolve::Links;
use super::tree::{Attributes, Content, InodeId};
use super::{Builder, IndexError, sparse};
use crate::erofs::BLOCK_BYTES;
use crate::erofs::inode::device;
use crate::layer::{Entry, Holes, Kind, LayerError, Meaning, Reader, join, link_target, meaning};

/// Longest target of a symbolic link that Linux takes.
const MAX_TARGET_BYTES: usize = 4095;

impl Builder<'_> {
    /// Takes in what `entry` says; of its data only what the tar cannot be referred to for is copied to `out`.
    pub(super) fn entry<R: BufRead, W: Write + Seek>(
        &mut self,
        entry: Entry,
        data: &mut Reader<R>,
        out: &mut Output<W>,
    ) -> Result<(), IndexError> {
        match meaning(&entry.path, self.limits)? {
            Meaning::Ignored => {}
            Meaning::Root if entry.kind == Kind::Directory => self.root(entry)?,
            Meaning::Root => {
                return Err(LayerError::entry(&entry.path, "the root of a layer must be a directory").into());
            }
            Meaning::Opaque { dir } => {
                let parent = self.parent(&dir)?;
                self.opaque(parent);
            }
            Meaning::Whiteout { dir, name } => {
                let parent = self.parent(&dir)?;
                self.whiteout(parent, &name)?;
            }
            Meaning::File { dir, name } => {
                let parent = self.parent(&dir)?;
                self.file(parent, &name, &join(&dir, &name), entry, data, out)?;
            }
        }
        Ok(())
    }

    fn file<R: BufRead, W: Write + Seek>(
        &mut self,
        parent: InodeId,
        name: &[u8],
        path: &[u8],
        mut entry: Entry,
        data: &mut Reader<R>,
        out: &mut Output<W>,
    ) -> Result<(), IndexError> {
        let (family, content) = match std::mem::replace(&mut entry.kind, Kind::Directory) {
            Kind::Directory => return Ok(self.directory(parent, name, path, entry)?),
            Kind::HardLink { target } => return Ok(self.hard_link(parent, name, path, &target)?),
            // What overlayfs would read as a whiteout is one.
            Kind::Character { major: 0, minor: 0 } => return Ok(self.whiteout(parent, name)?),
            Kind::Regular { size_bytes, holes } => {
                self.count()?;
                (Family::Regular, self.regular(path, size_bytes, holes, data, out)?)
            }
            Kind::Symlink { target } => {
                self.count()?;
                if target.is_empty() || target.len() > MAX_TARGET_BYTES {
                    return Err(LayerError::entry(path, "its target is empty or too long").into());
                }
                // A link has no mode of its own.
                entry.mode = 0o777;
                (Family::Symlink, Content::Symlink(target.into()))
            }
            Kind::Character { major, minor } => {
                self.count()?;
                (Family::Special, Content::Character(device(major, minor)))
            }
            Kind::Block { major, minor } => {
                self.count()?;
                (Family::Special, Content::Block(device(major, minor)))
            }
            Kind::Fifo => {
                self.count()?;
                (Family::Special, Content::Fifo)
            }
        };
        let attributes = self.attributes(path, family, entry)?;
        self.tree.remove(parent, name);
        let held_bytes = match &content {
            Content::Symlink(target) => target.len(),
            Content::Sparse(chunks) => chunks.held_bytes(),
            _ => 0,
        };
        self.tree.add(parent, name, attributes, content, held_bytes)?;
        Ok(())
    }

    fn regular<R: BufRead, W: Write + Seek>(
        &mut self,
        path: &[u8],
        size_bytes: u64,
        holes: Holes,
        data: &mut Reader<R>,
        out: &mut Output<W>,
    ) -> Result<Content, IndexError> {
        // As in the unpacker, before anything is read: the holes of a sparse file are not in the stream.
        if matches!(holes, Holes::None) && size_bytes > self.limits.stream_bytes() {
            return Err(self.limits.too_long().into());
        }
        self.promised_bytes = self.promised_bytes.saturating_add(size_bytes);
        if self.promised_bytes > self.limits.bytes {
            return Err(LayerError::Limit { what: "bytes", limit: self.limits.bytes }.into());
        }
        match holes {
            Holes::None => {
                self.indexed.size_bytes += size_bytes;
                let block = tar_block(path, data.offset_bytes(), size_bytes)?;
                Ok(Content::Whole { size_bytes, block })
            }
            Holes::Between(pieces) => {
                let stored_bytes: u64 = pieces.iter().map(|piece| piece.len_bytes).sum();
                self.indexed.size_bytes += stored_bytes;
                tar_block(path, data.offset_bytes(), stored_bytes)?;
                let chunks = sparse::index(size_bytes, &pieces, data, out)?;
                Ok(Content::Sparse(Box::new(chunks)))
            }
        }
    }

    /// Hides `name` of the layers below. What this layer itself has there stays, whatever the order is.
    fn whiteout(&mut self, parent: InodeId, name: &[u8]) -> Result<(), LayerError> {
        match self.tree.child(parent, name) {
            Some(found) => {
                self.opaque(found);
                Ok(())
            }
            None => {
                self.count()?;
                self.tree.add(parent, name, Attributes::default(), Content::Whiteout, 0).map(drop)
            }
        }
    }

    /// A second name for a file of this layer. Links on the way to it are refused, as in the unpacker.
    fn hard_link(&mut self, parent: InodeId, name: &[u8], path: &[u8], raw: &[u8]) -> Result<(), LayerError> {
        self.count()?;
        let (dir, target) = link_target(raw, self.limits)?;
        let missing = || LayerError::entry(path, "it is a hard link to a file that is not there");
        let from = self.tree.find(&dir, Links::Refuse).map_err(|_| missing())?;
        if (from, target.as_slice()) == (parent, name) {
            return Err(LayerError::entry(path, "it is a hard link to itself"));
        }
        let found = self.tree.child(from, &target).ok_or_else(missing)?;
        if self.tree.directory(found).is_some() || self.is_whiteout(found) {
            return Err(LayerError::entry(path, "it is a hard link to something that is no file"));
        }
        // What makes room may have been the directory that the target is in.
        self.tree.remove(parent, name);
        if self.tree.child(from, &target).is_none() {
            return Err(missing());
        }
        self.tree.link(parent, name, found)
    }

    /// What an entry says of its file, with the attributes that a file of its kind can have.
    pub(super) fn attributes(
        &mut self,
        path: &[u8],
        family: Family,
        entry: Entry,
    ) -> Result<Attributes, LayerError> {
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        // The reader keeps permission bits only.
        let mode = u16::try_from(mode & 0o7777).unwrap_or_default();
        let held_bytes = self.xattrs.held_bytes();
        let (mode, xattrs) = settle(path, family, mode, xattrs, &mut self.xattrs)?;
        self.tree.hold(self.xattrs.held_bytes() - held_bytes + size_of_val(&*xattrs) as u64)?;
        Ok(Attributes { mode, uid, gid, mtime, xattrs })
    }

    pub(super) fn is_whiteout(&self, id: InodeId) -> bool {
        matches!(self.tree.inode(id).content, Content::Whiteout)
    }
}

/// The block of the tar in which data at `offset_bytes` begins, which an index can name if it is below 2 TiB.
pub(super) fn tar_block(path: &[u8], offset_bytes: u64, len_bytes: u64) -> Result<u32, LayerError> {
    let end = (offset_bytes.saturating_add(len_bytes)).div_ceil(BLOCK_BYTES);
    // The last number means a hole.
    if end >= u64::from(u32::MAX) {
        return Err(LayerError::entry(path, "it lies beyond the first 2 TiB of the layer"));
    }
    u32::try_from(offset_bytes / BLOCK_BYTES)
        .map_err(|_| LayerError::entry(path, "it lies beyond the first 2 TiB of the layer"))
}
