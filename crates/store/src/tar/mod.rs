//! Reading a layer's tar stream: ustar, PAX and GNU, sparse files included.
//!
//! Where readers are known to disagree about what a header means (two sizes, two long names, data behind a
//! link), the archive is refused: another tool that looked at the same layer must have seen the same files.

mod error;
mod header;
mod pax;
mod reader;
mod sparse;

pub use error::{TarError, TarFault};
pub(crate) use reader::Reader;

/// One file of the archive, its extension headers folded in. The data is read from the [`Reader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As in the archive: not normalised, not trusted.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// Permission bits, set-id and sticky; nothing else.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    /// Names and values of extended attributes.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `size_bytes` is the length of the file, holes included.
    Regular {
        size_bytes: u64,
        holes: Holes,
    },
    HardLink {
        target: Vec<u8>,
    },
    Symlink {
        target: Vec<u8>,
    },
    Character {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Directory,
    Fifo,
}

/// Where the data of a regular file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holes {
    /// All of it follows in one piece.
    None,
    /// The pieces that follow, in order, with nothing but holes between.
    Between(Vec<Piece>),
}

/// A piece of data of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset_bytes: u64,
    pub(crate) len_bytes: u64,
}

/// Time since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}
