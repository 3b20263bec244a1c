//! Files in chunks: each as long as the next, each anywhere on any device.

use super::{BLOCK_BITS, Put};

/// Length of `struct erofs_inode_chunk_index`, and what its place is aligned to.
pub(crate) const INDEX_BYTES: u64 = 8;
/// The longest chunk that the format has, as a power of two (`EROFS_CHUNK_FORMAT_BLKBITS_MASK`).
const MAX_BITS: u32 = BLOCK_BITS + 31;

/// Length of a file's chunks, as a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkBits(u32);

impl ChunkBits {
    pub(crate) const SMALLEST: Self = Self(BLOCK_BITS);

    /// The shortest chunk that holds all of `size_bytes`, or the longest there is.
    pub(crate) fn of_whole(size_bytes: u64) -> Self {
        let bits = size_bytes.clamp(1, 1 << MAX_BITS).next_power_of_two().trailing_zeros();
        Self(bits.max(BLOCK_BITS))
    }

    /// Twice as long.
    pub(crate) fn longer(self) -> Self {
        Self((self.0 + 1).min(MAX_BITS))
    }

    pub(crate) fn bytes(self) -> u64 {
        1 << self.0
    }

    /// How many chunks a file has.
    pub(crate) fn count(self, size_bytes: u64) -> u64 {
        size_bytes.div_ceil(self.bytes())
    }

    /// `struct erofs_inode_chunk_info`, with indexes rather than bare block addresses.
    pub(crate) fn format(self) -> u32 {
        const INDEXES: u32 = 0x20;
        INDEXES | (self.0 - BLOCK_BITS)
    }
}

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: zeros.
    Hole,
    /// In the index itself, from this block.
    Index(u32),
    /// In the tar, from this block.
    Tar(u32),
}

impl Place {
    /// `struct erofs_inode_chunk_index`.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        // EROFS_NULL_ADDR is all ones.
        let (device, block) = match self {
            Self::Hole => (0, u32::MAX),
            Self::Index(block) => (0, block),
            Self::Tar(block) => (1, block),
        };
        out.put_u16(0);
        out.put_u16(device);
        out.put_u32(block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_holds_the_whole_file_unless_there_is_none_so_long() {
        for (size, bytes, count) in
            [(1, 512, 1), (512, 512, 1), (513, 1024, 1), (5 << 30, 8 << 30, 1), (3 << 40, 1 << 40, 3)]
        {
            let bits = ChunkBits::of_whole(size);
            assert_eq!((bits.bytes(), bits.count(size)), (bytes, count), "{size}");
        }
        assert_eq!(ChunkBits::of_whole(u64::MAX).format(), 0x20 | 31);
    }
}
