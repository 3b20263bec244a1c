//! Why a tar stream is refused.

use std::io;

/// A layer that is no sound tar archive.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream itself failed.
    #[error("the layer could not be read at byte {offset_bytes} of its tar stream")]
    Read {
        /// Where in the stream.
        offset_bytes: u64,
        /// What the stream's own reader said.
        source: io::Error,
    },
    /// The stream ends where more must follow.
    #[error("the layer's tar stream is cut off at byte {offset_bytes}")]
    Truncated {
        /// Where in the stream.
        offset_bytes: u64,
    },
    /// A header that cannot be accepted.
    #[error("the header at byte {offset_bytes} of the layer's tar stream is refused")]
    Refused {
        /// Where in the stream the header begins.
        offset_bytes: u64,
        /// What is wrong with it.
        source: TarFault,
    },
}

/// What is wrong with one header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TarFault {
    /// The bytes are damaged, or no header.
    #[error("its checksum does not match")]
    Checksum,
    /// A field with other characters than digits.
    #[error("its {0} is not a number")]
    Number(&'static str),
    /// A number that cannot be meant.
    #[error("its {0} is out of range")]
    Range(&'static str),
    /// Where GNU tar stops and others go on.
    #[error("a single zero block stands before more headers")]
    LoneZeroBlock,
    /// Multi-volume parts, incremental dumps and unknown types.
    #[error("entries of type {0:?} cannot be part of a layer")]
    Type(char),
    /// GNU tar skips such data, Go's reader does not.
    #[error("a link, directory or device has data of its own, which tools read in different ways")]
    UnexpectedData,
    /// Two names from different extensions, or two extension headers of one kind.
    #[error("its extension headers contradict each other")]
    Contradiction,
    /// The archive ends behind an extension header.
    #[error("an extension header is followed by no entry")]
    Dangling,
    /// More than any real extended attribute needs.
    #[error("an extension header is longer than {limit_bytes} bytes")]
    ExtensionTooLong {
        /// The longest accepted.
        limit_bytes: u64,
    },
    /// Lengths that do not fit, no `=`, or a NUL in a path.
    #[error("its PAX records are malformed")]
    Pax,
    /// What readers differ about.
    #[error("a global PAX header sets {0:?} for every file")]
    Global(String),
    /// Overlapping, unordered or out of the file.
    #[error("its map of holes is not in order or does not fit its size")]
    Sparse,
    /// GNU tar has the next piece begin with a new block, Go's reader has not.
    #[error("a piece of its data between holes ends within a block, which tools read in different ways")]
    SparsePiece,
}
