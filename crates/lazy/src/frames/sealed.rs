//! What files about frames have in common: kind and version in front, a SHA-256 of everything at the end.
//!
//! ```text
//! kind (8 bytes) | version (u32) | length of the body (u64) | body | SHA-256 of all before
//! ```
//!
//! Numbers are little-endian. Such files come from registries: whoever made one could also make the checksum, so bodies are
//! read as hostile; the checksum is against damage.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

const HEADER_BYTES: usize = 20;
const SUM_BYTES: usize = 32;

/// A file about frames that is refused.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It could not be read.
    #[error("the {what} cannot be read")]
    Read {
        /// What it should be.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Something else, or of another version.
    #[error("this is no {what} of version {version}")]
    Kind {
        /// What it should be.
        what: &'static str,
        /// The version that is known.
        version: u32,
    },
    /// Longer than any real one.
    #[error("the {what} is longer than {limit_bytes} bytes")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// The longest that is accepted.
        limit_bytes: u64,
    },
    /// Cut off, with more behind it, or changed.
    #[error("the {what} is damaged")]
    Damaged {
        /// What it is.
        what: &'static str,
    },
    /// Whole, but with content that cannot be meant.
    #[error("the {what} is refused: {why}")]
    Refused {
        /// What it is.
        what: &'static str,
        /// The rule that it breaks.
        why: &'static str,
    },
}

/// One kind of file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) magic: &'static [u8; 8],
    pub(super) version: u32,
    pub(super) what: &'static str,
}

impl Kind {
    /// The whole file around `body`.
    pub(super) fn seal(self, body: &[u8]) -> Vec<u8> {
        let mut file = Vec::with_capacity(HEADER_BYTES + body.len() + SUM_BYTES);
        file.extend(self.magic);
        file.extend(self.version.to_le_bytes());
        file.extend((body.len() as u64).to_le_bytes());
        file.extend(body);
        let sum = Sha256::digest(&file);
        file.extend(sum);
        file
    }

    /// The body of the file that `from` gives whole. Memory is taken as bytes come, not as lengths promise.
    pub(super) fn open(self, from: impl Read, limit_bytes: u64) -> Result<Body, FormatError> {
        let what = self.what;
        let mut file = Vec::new();
        let most = limit_bytes + (HEADER_BYTES + SUM_BYTES) as u64;
        from.take(most + 1).read_to_end(&mut file).map_err(|source| FormatError::Read { what, source })?;
        if file.len() as u64 > most {
            return Err(FormatError::TooLong { what, limit_bytes });
        }
        let damaged = || FormatError::Damaged { what };
        let mut header = Fields { rest: &file };
        if header.bytes::<8>().as_ref() != Some(self.magic) || header.u32() != Some(self.version) {
            return Err(FormatError::Kind { what, version: self.version });
        }
        let body_bytes = header.u64().and_then(|len| usize::try_from(len).ok()).ok_or_else(damaged)?;
        if file.len().checked_sub(HEADER_BYTES + SUM_BYTES) != Some(body_bytes) {
            return Err(damaged());
        }
        let (signed, sum) = file.split_at(HEADER_BYTES + body_bytes);
        if Sha256::digest(signed).as_slice() != sum {
            return Err(damaged());
        }
        file.truncate(HEADER_BYTES + body_bytes);
        Ok(Body { file })
    }

    pub(super) fn refused(self, why: &'static str) -> FormatError {
        FormatError::Refused { what: self.what, why }
    }
}

/// The body of a file that is whole.
pub(super) struct Body {
    file: Vec<u8>,
}

impl Body {
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields { rest: &self.file[HEADER_BYTES..] }
    }
}

/// Numbers one after the other; `None` where there are no more.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(super) fn slice(&mut self, len: usize) -> Option<&[u8]> {
        let (first, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(first)
    }

    /// What has not been read.
    pub(super) fn left_bytes(&self) -> usize {
        self.rest.len()
    }
}
