//! Where everything in the image will be: inodes first, directory by directory, then the whole blocks of directories and
//! long links.

use super::output::too_large;
use super::tree::{Content, Inode, InodeId, ROOT, Tree};
use super::xattrs::Table;
use super::{IndexError, directories_names};
use crate::erofs::chunk::{ChunkBits, INDEX_BYTES};
use crate::erofs::inode::{INODE_BYTES, Layout, SLOT_BYTES};
use crate::erofs::{BLOCK_BYTES, dirent, xattr};

pub(super) struct Plan {
    /// Files in the order of their inodes.
    pub(super) order: Vec<InodeId>,
    /// By file: its slot from the beginning of the inodes; 0 for those without a name.
    nids: Vec<u32>,
    /// Length of all inodes with what stands behind them.
    pub(super) inodes_bytes: u64,
    pub(super) shared: Shared,
}

/// Extended attributes that stand in one place for several files.
#[derive(Default)]
pub(super) struct Shared {
    /// By number in the table: what a file refers to it by.
    references: Vec<Option<u32>>,
    /// Numbers in the order of the references.
    pub(super) order: Vec<u32>,
    marks: Marks,
}

/// Attributes that tell overlayfs about directories, by their numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) opaque: Option<u32>,
    pub(super) origin: Option<u32>,
}

/// What an inode looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) layout: Layout,
    pub(super) size_bytes: u64,
    pub(super) xattr_bytes: u64,
    /// Whole blocks elsewhere in the image.
    pub(super) blocks: u64,
    /// Data behind the inode, which must not cross the end of a block.
    tail_bytes: u64,
    indexes: u64,
}

/// The first slot stays empty: no file has the number 0.
pub(super) const FIRST_SLOT_BYTES: u64 = SLOT_BYTES;

impl Plan {
    pub(super) fn new(tree: &Tree, xattrs: &Table, marks: Marks) -> Result<Self, IndexError> {
        let mut nids = vec![0; tree.len()];
        let order = order(tree, &mut nids);
        let shared = Shared::new(tree, &order, xattrs, marks)?;
        let mut end_bytes = FIRST_SLOT_BYTES;
        for &id in &order {
            let shape = Shape::of(tree.inode(id), xattrs, &shared);
            let start_bytes = shape.place(end_bytes);
            nids[id.index()] = u32::try_from(start_bytes / SLOT_BYTES).map_err(|_| too_large())?;
            end_bytes = shape.end_bytes(start_bytes);
        }
        Ok(Self { order, nids, inodes_bytes: end_bytes, shared })
    }

    pub(super) fn nid(&self, id: InodeId) -> u64 {
        self.nids[id.index()].into()
    }

    pub(super) fn root_nid(&self) -> u16 {
        // The first of all inodes.
        u16::try_from(self.nid(ROOT)).unwrap_or_default()
    }
}

/// The files of each directory together, so that who lists it and asks for each reads few pages. `seen` is marked.
fn order(tree: &Tree, seen: &mut [u32]) -> Vec<InodeId> {
    let mut order = vec![ROOT];
    let mut waiting = vec![ROOT];
    while let Some(directory) = waiting.pop().and_then(|id| tree.directory(id)) {
        let below = waiting.len();
        for &child in directory.children.values() {
            if std::mem::replace(&mut seen[child.index()], 1) == 0 {
                order.push(child);
            }
            if tree.directory(child).is_some() {
                waiting.push(child);
            }
        }
        waiting[below..].reverse();
    }
    order
}

impl Shared {
    fn new(tree: &Tree, order: &[InodeId], xattrs: &Table, marks: Marks) -> Result<Self, IndexError> {
        let mut uses = vec![0_u64; xattrs.len()];
        let mut shared = Self { references: vec![None; xattrs.len()], order: Vec::new(), marks };
        for &id in order {
            for number in shared.numbers(tree.inode(id)) {
                uses[number as usize] += 1;
            }
        }
        let mut end_bytes = 0;
        for (number, uses) in (0..).zip(uses) {
            let entry_bytes = xattr::padded_bytes(xattrs.entry(number));
            // In one place and referred to, it must be shorter than in every place.
            if entry_bytes + uses * xattr::UNIT_BYTES < uses * entry_bytes {
                let reference = u32::try_from(end_bytes / xattr::UNIT_BYTES).map_err(|_| too_large())?;
                shared.references[number as usize] = Some(reference);
                shared.order.push(number);
                end_bytes += entry_bytes;
            }
        }
        Ok(shared)
    }

    /// Every attribute of a file.
    fn numbers(&self, inode: &Inode) -> impl Iterator<Item = u32> {
        let (opaque, has_whiteouts) = match &inode.content {
            Content::Directory(directory) => (directory.opaque, directory.has_whiteouts),
            _ => (false, false),
        };
        let marks = [self.marks.opaque.filter(|_| opaque), self.marks.origin.filter(|_| has_whiteouts)];
        inode.attributes.xattrs.iter().copied().chain(marks.into_iter().flatten())
    }

    /// References to shared attributes of a file, and the numbers of its own.
    pub(super) fn split(&self, inode: &Inode) -> (Vec<u32>, Vec<u32>) {
        let (mut references, mut own) = (Vec::new(), Vec::new());
        for number in self.numbers(inode) {
            match self.references[number as usize] {
                Some(reference) if references.len() < xattr::MAX_SHARED => references.push(reference),
                _ => own.push(number),
            }
        }
        (references, own)
    }
}

impl Shape {
    pub(super) fn of(inode: &Inode, xattrs: &Table, shared: &Shared) -> Self {
        let (references, own) = shared.split(inode);
        let own_bytes = own.iter().map(|&number| xattr::padded_bytes(xattrs.entry(number))).sum();
        let xattr_bytes = xattr::body_bytes(references.len() as u64, own_bytes);
        let plain =
            Self { layout: Layout::Plain, size_bytes: 0, xattr_bytes, blocks: 0, tail_bytes: 0, indexes: 0 };
        let chunks = |size_bytes, bits: ChunkBits| match bits.count(size_bytes) {
            0 => plain,
            indexes => Self { layout: Layout::Chunks, size_bytes, indexes, ..plain },
        };
        match &inode.content {
            Content::Directory(directory) => plain.flat(dirent::size_bytes(directories_names(directory))),
            Content::Symlink(target) => plain.flat(target.len() as u64),
            Content::Whole { size_bytes, .. } => chunks(*size_bytes, ChunkBits::of_whole(*size_bytes)),
            Content::Sparse(sparse) => chunks(sparse.size_bytes, sparse.bits),
            _ => plain,
        }
    }

    /// Data of this inode's own: what does not fill a block stands behind the inode if it fits there.
    fn flat(self, size_bytes: u64) -> Self {
        let tail_bytes = size_bytes % BLOCK_BYTES;
        let nearest = (INODE_BYTES + self.xattr_bytes) % SLOT_BYTES;
        if tail_bytes == 0 || nearest + tail_bytes > BLOCK_BYTES {
            return Self { size_bytes, blocks: size_bytes.div_ceil(BLOCK_BYTES), ..self };
        }
        Self { layout: Layout::Inline, size_bytes, blocks: size_bytes / BLOCK_BYTES, tail_bytes, ..self }
    }

    /// The first place from `free_bytes` on where such an inode can begin.
    pub(super) fn place(&self, free_bytes: u64) -> u64 {
        let mut start_bytes = free_bytes.next_multiple_of(SLOT_BYTES);
        while (start_bytes + INODE_BYTES + self.xattr_bytes) % BLOCK_BYTES + self.tail_bytes > BLOCK_BYTES {
            start_bytes += SLOT_BYTES;
        }
        start_bytes
    }

    /// Where an inode that begins at `start_bytes` ends, with what stands behind it.
    fn end_bytes(&self, start_bytes: u64) -> u64 {
        let end_bytes = start_bytes + INODE_BYTES + self.xattr_bytes;
        match self.indexes {
            0 => end_bytes + self.tail_bytes,
            indexes => end_bytes.next_multiple_of(INDEX_BYTES) + indexes * INDEX_BYTES,
        }
    }
}
