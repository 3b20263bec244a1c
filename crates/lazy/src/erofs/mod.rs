//! The structures of the EROFS format on disk, as bytes.
//!
//! Sources: the kernel's Documentation/filesystems/erofs.rst for the layout, fs/erofs/erofs_fs.h for the fields; each
//! structure here names the one that it encodes. All numbers are little-endian. What is used works with Linux 5.16
//! (device tables) and newer; blocks smaller than a page need 6.4, mounting a plain file 6.12.

pub(crate) mod chunk;
mod crc32c;
pub(crate) mod dirent;
pub(crate) mod inode;
pub(crate) mod superblock;
pub(crate) mod xattr;

pub(crate) use crc32c::crc32c;

/// Blocks are as large as those of a tar archive, so that whatever lies in one can be referred to.
pub(crate) const BLOCK_BYTES: u64 = 512;
/// The same, as the power of two that the superblock and chunk formats count from.
pub(crate) const BLOCK_BITS: u32 = 9;

/// Appends numbers to a structure.
pub(crate) trait Put {
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    fn put_zeros(&mut self, len: usize);
}

impl Put for Vec<u8> {
    fn put_u16(&mut self, value: u16) {
        self.extend(value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend(value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend(value.to_le_bytes());
    }

    fn put_zeros(&mut self, len: usize) {
        self.resize(self.len() + len, 0);
    }
}
