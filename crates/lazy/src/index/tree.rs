//! The files of a layer, as they are after the entries read so far.

use std::collections::BTreeMap;

use super::sparse::Chunks;
use crate::layer::{LayerError, Time};

/// What one entry is taken to cost in memory beside its name, target, extended attributes and pieces: an [`Inode`], its
/// place in a directory and its number in the plan. It is that much while the list of inodes grows, and 190 else.
const ENTRY_BYTES: u64 = 320;
/// All entries together: room for eight million files, the default limit of a layer.
const MAX_HELD_BYTES: u64 = 3 << 30;

/// A file of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(u32);

/// The layer's root, always a directory.
pub(super) const ROOT: InodeId = InodeId(0);

#[derive(Debug)]
pub(super) struct Inode {
    /// Names; a directory has one.
    pub(super) links: u32,
    pub(super) attributes: Attributes,
    pub(super) content: Content,
}

/// What stat(2) and listxattr(2) say of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes {
    /// Permission bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    /// Numbers in the [`super::xattrs::Table`].
    pub(super) xattrs: Box<[u32]>,
}

#[derive(Debug)]
pub(super) enum Content {
    Directory(Box<Directory>),
    /// In one piece, from this block of the tar.
    Whole {
        size_bytes: u64,
        block: u32,
    },
    Sparse(Box<Chunks>),
    Symlink(Box<[u8]>),
    Character(u32),
    Block(u32),
    Fifo,
    Whiteout,
    /// No name is left.
    Gone,
}

#[derive(Debug)]
pub(super) struct Directory {
    pub(super) parent: InodeId,
    pub(super) children: BTreeMap<Box<[u8]>, InodeId>,
    /// Hides its namesakes in the layers below.
    pub(super) opaque: bool,
    /// Why its attributes are refused, if it is still there with them when all entries are read: only then does the
    /// unpacker set them.
    pub(super) fault: Option<Box<LayerError>>,
    /// Known when all entries are read.
    pub(super) has_whiteouts: bool,
    /// Length of its path from the root.
    pub(super) path_bytes: usize,
}

#[derive(Debug)]
pub(super) struct Tree {
    inodes: Vec<Inode>,
    held_bytes: u64,
}

impl Tree {
    /// Only a root that is not described yet.
    pub(super) fn new() -> Self {
        let root = Directory {
            parent: ROOT,
            children: BTreeMap::new(),
            opaque: false,
            fault: None,
            has_whiteouts: false,
            path_bytes: 0,
        };
        let attributes = Attributes { mode: 0o755, ..Attributes::default() };
        let root = Inode { links: 1, attributes, content: Content::Directory(Box::new(root)) };
        Self { inodes: vec![root], held_bytes: 0 }
    }

    /// All that ever were, also those [`Content::Gone`].
    pub(super) fn len(&self) -> usize {
        self.inodes.len()
    }

    pub(super) fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    pub(super) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    pub(super) fn directory(&self, id: InodeId) -> Option<&Directory> {
        match &self.inode(id).content {
            Content::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub(super) fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        match &mut self.inode_mut(id).content {
            Content::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub(super) fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        self.directory(directory)?.children.get(name).copied()
    }

    /// Adds a file under a name that is free. `held_bytes` is what it keeps elsewhere in memory.
    pub(super) fn add(
        &mut self,
        directory: InodeId,
        name: &[u8],
        attributes: Attributes,
        content: Content,
        held_bytes: usize,
    ) -> Result<InodeId, LayerError> {
        self.hold(held_bytes as u64)?;
        let id = InodeId(u32::try_from(self.inodes.len()).map_err(|_| too_much())?);
        self.inodes.push(Inode { links: 0, attributes, content });
        self.link(directory, name, id)?;
        Ok(id)
    }

    /// Gives a file one more name, which is free.
    pub(super) fn link(&mut self, directory: InodeId, name: &[u8], id: InodeId) -> Result<(), LayerError> {
        self.hold(ENTRY_BYTES + name.len() as u64)?;
        self.inode_mut(id).links += 1;
        if let Some(directory) = self.directory_mut(directory) {
            directory.children.insert(name.into(), id);
        }
        Ok(())
    }

    /// Removes a name, and what it alone held.
    pub(super) fn remove(&mut self, directory: InodeId, name: &[u8]) {
        let removed = self.directory_mut(directory).and_then(|directory| directory.children.remove(name));
        let mut waiting: Vec<InodeId> = removed.into_iter().collect();
        while let Some(id) = waiting.pop() {
            let inode = self.inode_mut(id);
            inode.links -= 1;
            if inode.links == 0
                && let Content::Directory(directory) = std::mem::replace(&mut inode.content, Content::Gone)
            {
                waiting.extend(directory.children.into_values());
            }
        }
    }

    /// Counts more memory.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), LayerError> {
        self.held_bytes += bytes;
        if self.held_bytes > MAX_HELD_BYTES { Err(too_much()) } else { Ok(()) }
    }
}

fn too_much() -> LayerError {
    LayerError::Limit { what: "bytes of memory for its index", limit: MAX_HELD_BYTES }
}

impl InodeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}
