//! The image itself, written as planned.

use std::io::{Seek, Write};

use super::output::{Output, too_large};
use super::plan::{Plan, Shape};
use super::tree::{Content, Directory, Inode, InodeId, Tree};
use super::xattrs::Table;
use super::{IndexError, directories_names};
use crate::erofs::chunk::{ChunkBits, INDEX_BYTES, Place};
use crate::erofs::dirent::{self, Dirent, Kind};
use crate::erofs::inode::{Inode as Encoded, Layout};
use crate::erofs::superblock::Superblock;
use crate::erofs::{BLOCK_BYTES, xattr};

/// Indexes that are put together before they are written.
const INDEXES_AT_ONCE: usize = 4096;

/// Writes everything behind what is in `out` already; the length of the whole image in bytes.
pub(super) fn write<W: Write + Seek>(
    tree: &Tree,
    xattrs: &Table,
    plan: &Plan,
    tar_bytes: u64,
    mut out: Output<W>,
) -> Result<u64, IndexError> {
    let xattr_block = out.next_block()?;
    for &number in &plan.shared.order {
        let mut entry = Vec::new();
        xattr::encode_entry(xattrs.entry(number), &mut entry);
        out.write(&entry)?;
    }
    let meta_block = out.next_block()?;
    let mut image = Image { tree, xattrs, plan, start_bytes: out.position_bytes(), next_block: 0 };
    let first_block = u64::from(meta_block) + plan.inodes_bytes.div_ceil(BLOCK_BYTES);
    image.next_block = u32::try_from(first_block).map_err(|_| too_large())?;
    image.inodes(&mut out)?;
    out.next_block()?;
    image.blocks(&mut out)?;
    let blocks = out.next_block()?;
    out.finish(&Superblock {
        inodes: plan.order.len() as u64,
        blocks,
        meta_block,
        xattr_block,
        root_nid: plan.root_nid(),
        device_blocks: u32::try_from(tar_bytes.div_ceil(BLOCK_BYTES)).unwrap_or(u32::MAX),
    })
}

struct Image<'a> {
    tree: &'a Tree,
    xattrs: &'a Table,
    plan: &'a Plan,
    /// Where the inodes begin.
    start_bytes: u64,
    /// The next of the whole blocks behind the inodes.
    next_block: u32,
}

impl Image<'_> {
    fn inodes<W: Write + Seek>(&mut self, out: &mut Output<W>) -> Result<(), IndexError> {
        out.pad_to(self.start_bytes + super::plan::FIRST_SLOT_BYTES)?;
        for (number, &id) in (1..).zip(&self.plan.order) {
            let inode = self.tree.inode(id);
            let shape = Shape::of(inode, self.xattrs, &self.plan.shared);
            let place = shape.place(out.position_bytes() - self.start_bytes);
            out.pad_to(self.start_bytes + place)?;
            let bytes = self.inode(number, id, inode, shape)?;
            out.write(&bytes)?;
            self.indexes(inode, out)?;
        }
        Ok(())
    }

    /// The inode, its extended attributes and the end of its data.
    fn inode(
        &mut self,
        number: u32,
        id: InodeId,
        inode: &Inode,
        shape: Shape,
    ) -> Result<Vec<u8>, IndexError> {
        let attributes = &inode.attributes;
        let (kind, union, links) = self.summary(inode);
        let mut bytes = Vec::new();
        let union = if shape.blocks > 0 { self.next_block } else { union };
        let blocks = u32::try_from(shape.blocks).map_err(|_| too_large())?;
        self.next_block = self.next_block.checked_add(blocks).ok_or_else(too_large)?;
        let encoded = Encoded {
            layout: shape.layout,
            mode: kind | attributes.mode,
            size_bytes: shape.size_bytes,
            union,
            number,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: attributes.mtime,
            links,
            xattr_bytes: shape.xattr_bytes,
        };
        encoded.encode(&mut bytes);
        let (references, own) = self.plan.shared.split(inode);
        if shape.xattr_bytes > 0 {
            let own = own.iter().map(|&number| self.xattrs.entry(number));
            xattr::encode_body(&references, own, &mut bytes);
        }
        if shape.layout == Layout::Inline {
            let data = self.data(id, inode);
            let whole = usize::try_from(shape.blocks * BLOCK_BYTES).map_err(|_| too_large())?;
            bytes.extend(&data[whole..]);
        }
        Ok(bytes)
    }

    /// Type bits, `i_u` and number of links.
    fn summary(&self, inode: &Inode) -> (u16, u32, u32) {
        match &inode.content {
            Content::Directory(directory) => (0o040_000, 0, self.links(directory)),
            Content::Whole { size_bytes, .. } => {
                let format = if *size_bytes == 0 { 0 } else { ChunkBits::of_whole(*size_bytes).format() };
                (0o100_000, format, inode.links)
            }
            Content::Sparse(sparse) => {
                (0o100_000, if sparse.size_bytes == 0 { 0 } else { sparse.bits.format() }, inode.links)
            }
            Content::Symlink(_) => (0o120_000, 0, inode.links),
            Content::Character(device) => (0o020_000, *device, inode.links),
            Content::Block(device) => (0o060_000, *device, inode.links),
            Content::Fifo | Content::Gone => (0o010_000, 0, inode.links),
            Content::Whiteout => (0o020_000, 0, inode.links),
        }
    }

    /// A directory's name, its `.`, and the `..` of each directory in it.
    fn links(&self, directory: &Directory) -> u32 {
        let below = directory.children.values().filter(|&&child| self.tree.directory(child).is_some());
        u32::try_from(2 + below.count()).unwrap_or(u32::MAX)
    }

    fn indexes<W: Write + Seek>(&self, inode: &Inode, out: &mut Output<W>) -> Result<(), IndexError> {
        let mut bytes = Vec::new();
        match &inode.content {
            Content::Whole { size_bytes, block } => {
                let bits = ChunkBits::of_whole(*size_bytes);
                let blocks = u32::try_from(bits.bytes() / BLOCK_BYTES).unwrap_or(u32::MAX);
                for chunk in 0..u32::try_from(bits.count(*size_bytes)).map_err(|_| too_large())? {
                    Place::Tar(block + chunk * blocks).encode(&mut bytes);
                }
            }
            Content::Sparse(sparse) => {
                out.pad_to(out.position_bytes().next_multiple_of(INDEX_BYTES))?;
                for place in sparse.places() {
                    place.encode(&mut bytes);
                    if bytes.len() >= INDEXES_AT_ONCE * 8 {
                        out.write(&bytes)?;
                        bytes.clear();
                    }
                }
            }
            _ => return Ok(()),
        }
        if !bytes.is_empty() {
            out.pad_to(out.position_bytes().next_multiple_of(INDEX_BYTES))?;
        }
        out.write(&bytes)
    }

    /// The whole blocks, in the order of their inodes.
    fn blocks<W: Write + Seek>(&self, out: &mut Output<W>) -> Result<(), IndexError> {
        for &id in &self.plan.order {
            let inode = self.tree.inode(id);
            let shape = Shape::of(inode, self.xattrs, &self.plan.shared);
            if shape.blocks > 0 {
                let data = self.data(id, inode);
                let whole = usize::try_from(shape.blocks * BLOCK_BYTES).map_err(|_| too_large())?;
                out.write(&data[..whole.min(data.len())])?;
                out.next_block()?;
            }
        }
        Ok(())
    }

    /// A directory's blocks or a link's target.
    fn data(&self, id: InodeId, inode: &Inode) -> Vec<u8> {
        let mut data = Vec::new();
        match &inode.content {
            Content::Symlink(target) => data.extend(target),
            Content::Directory(directory) => {
                let entries = directories_names(directory).map(|name| {
                    let target = match name {
                        b"." => id,
                        b".." => directory.parent,
                        // Every other name is in the map that the names are from.
                        _ => directory.children.get(name).copied().unwrap_or(id),
                    };
                    Dirent { name, nid: self.plan.nid(target), kind: kind(self.tree.inode(target)) }
                });
                dirent::encode(entries, &mut data);
            }
            _ => {}
        }
        data
    }
}

fn kind(inode: &Inode) -> Kind {
    match &inode.content {
        Content::Directory(_) => Kind::Directory,
        Content::Whole { .. } | Content::Sparse(_) => Kind::Regular,
        Content::Symlink(_) => Kind::Symlink,
        Content::Character(_) | Content::Whiteout => Kind::Character,
        Content::Block(_) => Kind::Block,
        Content::Fifo | Content::Gone => Kind::Fifo,
    }
}
