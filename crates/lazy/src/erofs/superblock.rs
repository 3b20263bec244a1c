//! The superblock and the table of devices.

use super::crc32c::crc32c;
use super::{BLOCK_BITS, Put};

/// Where the superblock begins (`EROFS_SUPER_OFFSET`): room for a boot sector.
const OFFSET_BYTES: usize = 1024;
const SUPERBLOCK_BYTES: usize = 128;
/// `EROFS_DEVT_SLOT_SIZE`; slots are counted from the start of the image.
const DEVICE_SLOT_BYTES: usize = 128;
const DEVICE_SLOT: u16 = 9;

const MAGIC: u32 = 0xe0f5_e1e2;
/// `EROFS_FEATURE_COMPAT_SB_CHKSUM`, and `_MTIME`: the time of an inode is that of its data.
const COMPATIBLE: u32 = 0x1 | 0x2;
/// `EROFS_FEATURE_INCOMPAT_CHUNKED_FILE` and `_DEVICE_TABLE`.
const INCOMPATIBLE: u32 = 0x4 | 0x8;

/// Superblock and device slot lie in the one block behind the room for a boot sector.
const HEAD_BYTES: usize = OFFSET_BYTES + 512;

/// The first block that the superblock leaves free.
pub(crate) const FIRST_FREE_BLOCK: u32 = 3;

/// What the superblock says of one image with one device. Time, name and UUID are zeros, for the same input to give
/// the same image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Inodes in use.
    pub(crate) inodes: u64,
    /// Blocks of the image itself.
    pub(crate) blocks: u32,
    /// Where numbers of inodes (`nid`) are counted from, in blocks.
    pub(crate) meta_block: u32,
    /// Where shared extended attributes are counted from, in blocks.
    pub(crate) xattr_block: u32,
    /// The root directory, in slots of an inode from `meta_block`.
    pub(crate) root_nid: u16,
    /// Blocks of the device, the tar.
    pub(crate) device_blocks: u32,
}

impl Superblock {
    /// The first blocks of the image, up to [`FIRST_FREE_BLOCK`]: `struct erofs_super_block`, one
    /// `struct erofs_deviceslot` behind it, and the checksum over the block that holds both.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut image = vec![0; OFFSET_BYTES];
        image.put_u32(MAGIC);
        image.put_u32(0); // checksum
        image.put_u32(COMPATIBLE);
        image.push(BLOCK_BITS.to_le_bytes()[0]);
        image.push(0); // sb_extslots
        image.put_u16(self.root_nid);
        image.put_u64(self.inodes);
        image.put_u64(0); // epoch
        image.put_u32(0); // fixed_nsec
        image.put_u32(self.blocks);
        image.put_u32(self.meta_block);
        image.put_u32(self.xattr_block);
        image.put_zeros(32); // uuid, volume_name
        image.put_u32(INCOMPATIBLE);
        image.put_u16(0); // no compression
        image.put_u16(1); // extra_devices
        image.put_u16(DEVICE_SLOT);
        image.resize(OFFSET_BYTES + SUPERBLOCK_BYTES, 0);

        // Without a tag, the kernel mounts it only if it is told the device.
        image.resize(usize::from(DEVICE_SLOT) * DEVICE_SLOT_BYTES + 64, 0);
        image.put_u32(self.device_blocks);
        image.put_u32(self.blocks); // uniaddr: behind the image's own
        image.resize(HEAD_BYTES, 0);

        let checksum = crc32c(&image[OFFSET_BYTES..]);
        image[OFFSET_BYTES + 4..OFFSET_BYTES + 8].copy_from_slice(&checksum.to_le_bytes());
        image
    }
}
