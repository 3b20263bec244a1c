//! Why an archive cannot be used.

use crate::document::DocumentError;
use crate::platform::Platform;
use crate::reference::ReferenceError;

/// Why an archive cannot be used. `archive` is its path, or what the caller calls the stream.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be opened or read.
    #[error("cannot read archive {archive}")]
    Read {
        /// The archive.
        archive: String,
        /// Why.
        source: std::io::Error,
    },
    /// It cannot be put aside so that it can be read in any order.
    #[error("cannot keep archive {archive} in a temporary file below {directory}")]
    Spool {
        /// The archive.
        archive: String,
        /// Where the temporary file is.
        directory: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is compressed in an unknown or broken way.
    #[error("cannot decompress archive {archive}")]
    Decompress {
        /// The archive.
        archive: String,
        /// Why.
        source: crate::DecompressError,
    },
    /// It is neither docker-archive nor OCI layout.
    #[error("{archive} is no image archive: it has neither manifest.json nor index.json")]
    Unknown {
        /// The archive.
        archive: String,
    },
    /// It holds no image.
    #[error("archive {archive} holds no image")]
    Empty {
        /// The archive.
        archive: String,
    },
    /// It has too many entries.
    #[error("archive {archive} has more than {limit} entries")]
    TooManyEntries {
        /// The archive.
        archive: String,
        /// The limit.
        limit: usize,
    },
    /// A name in it leads out of it.
    #[error("archive {archive} has an entry {name:?} that leads out of it")]
    Escape {
        /// The archive.
        archive: String,
        /// The entry, or where a link of it leads.
        name: String,
    },
    /// Links in it lead in a circle.
    #[error("archive {archive} has too many links behind {name:?}")]
    LinkLoop {
        /// The archive.
        archive: String,
        /// Where the links start.
        name: String,
    },
    /// Something that it refers to is not there, or no regular file.
    #[error("archive {archive} is incomplete: {name} is missing")]
    Missing {
        /// The archive.
        archive: String,
        /// A digest or a path.
        name: String,
    },
    /// It ends before the entry does.
    #[error("archive {archive} is truncated within {name}")]
    Truncated {
        /// The archive.
        archive: String,
        /// The entry.
        name: String,
    },
    /// A manifest, index or config is above the limit.
    #[error("{name} in archive {archive} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The archive.
        archive: String,
        /// The entry.
        name: String,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// A file of it is not the JSON it should be.
    #[error("{name} in archive {archive} is not valid JSON of its kind")]
    Json {
        /// The archive.
        archive: String,
        /// The entry.
        name: String,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// A manifest or config cannot be used.
    #[error("an image in archive {archive} cannot be used")]
    Document {
        /// The archive.
        archive: String,
        /// Why.
        source: DocumentError,
    },
    /// Content that is not what its digest names.
    #[error(
        "{name} in archive {archive} has the wrong content: {expected} was expected, its digest is {found}"
    )]
    WrongDigest {
        /// The archive.
        archive: String,
        /// The entry.
        name: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Content of another length than its descriptor says.
    #[error("{name} in archive {archive} has {found_bytes} bytes where {size_bytes} were expected")]
    WrongSize {
        /// The archive.
        archive: String,
        /// The entry.
        name: String,
        /// What there is.
        found_bytes: u64,
        /// What the descriptor says.
        size_bytes: u64,
    },
    /// A name of an image that is no reference.
    #[error("archive {archive} gives an image a name that is not valid")]
    Name {
        /// The archive.
        archive: String,
        /// Why.
        source: ReferenceError,
    },
    /// No manifest for the platform.
    #[error("archive {archive} has no image for {wanted}, only for {offered}")]
    Platform {
        /// The archive.
        archive: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is, with commas.
        offered: String,
    },
}
