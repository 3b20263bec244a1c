//! Inodes.

use super::Put;
use crate::layer::Time;

/// Length of `struct erofs_inode_extended`. The compact form has no owners above 65535 and no times of its own.
pub(crate) const INODE_BYTES: u64 = 64;
/// Inodes begin at multiples of this, and their numbers (`nid`) count it.
pub(crate) const SLOT_BYTES: u64 = 32;

/// Where an inode's data is, in the words of `erofs_fs.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `EROFS_INODE_FLAT_PLAIN`: in whole blocks.
    Plain,
    /// `EROFS_INODE_FLAT_INLINE`: in whole blocks, and what is left of it behind the inode.
    Inline,
    /// `EROFS_INODE_CHUNK_BASED`: where the indexes behind the inode say.
    Chunks,
}

/// What the kernel's stat(2) will say, and where the rest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) layout: Layout,
    /// Type and permission bits.
    pub(crate) mode: u16,
    pub(crate) size_bytes: u64,
    /// `i_u`: the first block of flat data, the device number, or the format of chunks.
    pub(crate) union: u32,
    /// For 32-bit systems.
    pub(crate) number: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    pub(crate) links: u32,
    /// Length of the extended attributes behind it: [`super::xattr::body_bytes`].
    pub(crate) xattr_bytes: u64,
}

impl Inode {
    /// `struct erofs_inode_extended`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        const EXTENDED: u16 = 1;
        let layout = match self.layout {
            Layout::Plain => 0,
            Layout::Inline => 2,
            Layout::Chunks => 4,
        };
        out.put_u16(EXTENDED | layout << 1);
        out.put_u16(super::xattr::count(self.xattr_bytes));
        out.put_u16(self.mode);
        out.put_u16(0);
        out.put_u64(self.size_bytes);
        out.put_u32(self.union);
        out.put_u32(self.number);
        out.put_u32(self.uid);
        out.put_u32(self.gid);
        out.put_u64(self.mtime.seconds.cast_unsigned());
        out.put_u32(self.mtime.nanoseconds);
        out.put_u32(self.links);
        out.put_zeros(16);
    }
}

/// A device number as the kernel keeps it on disk (`new_encode_dev`, include/linux/kdev_t.h): 12 bits of major number
/// and 20 of minor number.
pub(crate) fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_has_its_length_and_devices_their_parts() {
        let mut out = Vec::new();
        let (mtime, layout) = (Time { seconds: -1, nanoseconds: 5 }, Layout::Chunks);
        let inode = Inode {
            layout,
            mode: 0o100_644,
            size_bytes: 1,
            union: 2,
            number: 3,
            uid: 4,
            gid: 5,
            mtime,
            links: 6,
            xattr_bytes: 0,
        };
        inode.encode(&mut out);
        assert_eq!(out.len() as u64, INODE_BYTES);
        assert_eq!(out[..2], [0b1001, 0]);
        assert_eq!(device(8, 0x12345), 0x1230_0845);
    }
}
