//! Directories: blocks of entries and their names, sorted over all blocks.
//!
//! A block begins with its entries (`struct erofs_dirent`, 12 bytes each); the names follow without separators, and
//! the first entry's offset of its name tells how many entries there are.

use super::{BLOCK_BYTES, Put};

const ENTRY_BYTES: u64 = 12;

/// A directory's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dirent<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) nid: u64,
    pub(crate) kind: Kind,
}

/// `EROFS_FT_*`, the same numbers as `DT_*` have in no particular order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Regular = 1,
    Directory = 2,
    Character = 3,
    Block = 4,
    Fifo = 5,
    Symlink = 7,
}

/// How many bytes of a directory's blocks are in use, the gaps at the ends of all but the last included: its size.
pub(crate) fn size_bytes<'a>(names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let (mut whole, mut used) = (0, 0);
    for name in names {
        let more = ENTRY_BYTES + name.len() as u64;
        if used + more > BLOCK_BYTES {
            whole += BLOCK_BYTES;
            used = 0;
        }
        used += more;
    }
    whole + used
}

/// Appends the blocks of a directory whose entries come sorted by name; the last one is as long as it is used.
pub(crate) fn encode<'a>(entries: impl Iterator<Item = Dirent<'a>>, out: &mut Vec<u8>) {
    let mut block = Vec::new();
    let mut used = 0;
    for entry in entries {
        let more = ENTRY_BYTES + entry.name.len() as u64;
        if used + more > BLOCK_BYTES {
            encode_block(&block, out);
            let gap = BLOCK_BYTES - used;
            out.put_zeros(usize::try_from(gap).unwrap_or_default());
            block.clear();
            used = 0;
        }
        used += more;
        block.push(entry);
    }
    encode_block(&block, out);
}

fn encode_block(entries: &[Dirent<'_>], out: &mut Vec<u8>) {
    // A block has 512 bytes, so every offset fits.
    let mut name_offset = 12 * u16::try_from(entries.len()).unwrap_or_default();
    for entry in entries {
        out.put_u64(entry.nid);
        out.put_u16(name_offset);
        out.push(entry.kind as u8);
        out.push(0);
        name_offset += u16::try_from(entry.name.len()).unwrap_or_default();
    }
    for entry in entries {
        out.extend(entry.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_foretold_is_that_of_the_blocks() {
        let names: Vec<Vec<u8>> = (0..300).map(|number| vec![b'n'; 1 + number % 255]).collect();
        for count in [1, 2, 40, 300] {
            let names = || names[..count].iter().map(Vec::as_slice);
            let mut out = Vec::new();
            encode(names().map(|name| Dirent { name, nid: 7, kind: Kind::Fifo }), &mut out);
            assert_eq!(out.len() as u64, size_bytes(names()), "{count}");
        }
    }
}
