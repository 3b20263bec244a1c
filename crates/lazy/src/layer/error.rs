//! Why a layer cannot be unpacked.

use std::io;

use super::tar::TarError;

/// A layer that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The stream is broken, or refused as a tar archive.
    #[error("the layer is no acceptable tar archive")]
    Tar(#[from] TarError),
    /// A name that leads out of the layer or cannot exist.
    #[error("the layer's entry {path:?} is refused: {why}")]
    Entry {
        /// As in the archive.
        path: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// More than [`super::LayerLimits`] allows.
    #[error("the layer exceeds the limit of {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
    },
    /// It decompresses to more than its compressed size lets expect.
    #[error(
        "the layer has {compressed_bytes} bytes compressed and more than {limit_bytes} unpacked, like a decompression bomb"
    )]
    Ratio {
        /// As transferred.
        compressed_bytes: u64,
        /// The most that it may decompress to.
        limit_bytes: u64,
    },
    /// The system refused a step.
    #[error("cannot {action} {path:?} of the layer")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file, within the layer.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl LayerError {
    /// The entry `path` breaks a rule.
    pub fn entry(path: &[u8], why: &'static str) -> Self {
        Self::Entry { path: String::from_utf8_lossy(path).into_owned(), why }
    }

    /// A step with the file `path` that the system refused.
    pub fn io(action: &'static str, path: &[u8], source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: String::from_utf8_lossy(path).into_owned(), source: source.into() }
    }
}
