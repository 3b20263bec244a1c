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
pub use reader::Reader;

/// One file of the archive, its extension headers folded in. The data is read from the [`Reader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As in the archive: not normalised, not trusted.
    pub path: Vec<u8>,
    /// What it is, with what belongs to that kind.
    pub kind: Kind,
    /// Permission bits, set-id and sticky; nothing else.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// When its data last changed.
    pub mtime: Time,
    /// Names and values of extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular {
        /// The length of the file, holes included.
        size_bytes: u64,
        /// Where its data lies in it.
        holes: Holes,
    },
    /// A second name.
    HardLink {
        /// The name that the file has already, as in the archive.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// What it points at.
        target: Vec<u8>,
    },
    /// A character device.
    Character {
        /// The driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
    /// A block device.
    Block {
        /// The driver.
        major: u32,
        /// Which of its devices.
        minor: u32,
    },
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// Where the data of a regular file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holes {
    /// All of it follows in one piece.
    None,
    /// The pieces that follow, in order, with nothing but holes between.
    Between(Vec<Piece>),
}

/// A piece of data of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where it lies in the file.
    pub offset_bytes: u64,
    /// How long it is.
    pub len_bytes: u64,
}

/// Time since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after that second, below a thousand million.
    pub nanoseconds: u32,
}
