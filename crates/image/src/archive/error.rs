//! Why an archive cannot be used.

use crate::document::DocumentError;
use crate::platform::Platform;
use crate::reference::ReferenceError;

/// More of a name is not shown.
const MAX_NAME_CHARS: usize = 200;

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
    /// It is no tar file, compressed or not.
    #[error("{archive} is no image archive: it is no tar file")]
    NotTar {
        /// The archive.
        archive: String,
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
    #[error("archive {archive} has an entry {} that leads out of it", shown(.name))]
    Escape {
        /// The archive.
        archive: String,
        /// The entry, or where a link of it leads.
        name: String,
    },
    /// Links in it lead in a circle.
    #[error("archive {archive} has too many links behind {}", shown(.name))]
    LinkLoop {
        /// The archive.
        archive: String,
        /// Where the links start.
        name: String,
    },
    /// Something that it refers to is not there, or no regular file.
    #[error("archive {archive} is incomplete: {} is missing", shown(.name))]
    Missing {
        /// The archive.
        archive: String,
        /// A digest or a path.
        name: String,
    },
    /// It ends before the entry does.
    #[error("archive {archive} is truncated within {}", shown(.name))]
    Truncated {
        /// The archive.
        archive: String,
        /// The entry.
        name: String,
    },
    /// A manifest, index or config is above the limit.
    #[error("{} in archive {archive} is larger than {limit_bytes} bytes", shown(.name))]
    TooLarge {
        /// The archive.
        archive: String,
        /// The entry.
        name: String,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// A file of it is not the JSON it should be.
    #[error("{} in archive {archive} is not valid JSON of its kind", shown(.name))]
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
        "{} in archive {archive} has the wrong content: {expected} was expected, its digest is {found}",
        shown(.name)
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
    #[error("{} in archive {archive} has {found_bytes} bytes where {size_bytes} were expected", shown(.name))]
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

/// A name out of an archive: it goes to a terminal, so without control characters, and not without end.
fn shown(name: &str) -> String {
    let mut shown: String = name.chars().take(MAX_NAME_CHARS).flat_map(escaped).collect();
    if name.chars().nth(MAX_NAME_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let (plain, control) = if c.is_control() { (None, Some(c.escape_default())) } else { (Some(c), None) };
    plain.into_iter().chain(control.into_iter().flatten())
}
