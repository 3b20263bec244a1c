//! What one layer may cost.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::LayerError;

/// Bounds that a layer is unpacked within; more is refused before it fills the disk or the inode table.
///
/// The defaults leave room for the largest images in use (tens of gigabytes, millions of files).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerLimits {
    /// Decompressed tar stream, and the files it makes with their holes counted as data, each in bytes.
    pub bytes: u64,
    /// Files, directories and links, those made for missing parents included.
    pub entries: u64,
    /// Directories above a file.
    pub depth: usize,
    /// A path, in bytes; the kernel takes 4095 at most (`PATH_MAX`).
    pub path_bytes: usize,
    /// A single name, in bytes; 255 on Linux's file systems (`NAME_MAX`).
    pub name_bytes: usize,
    /// Size of the compressed blob, where the caller knows it: without it there is no bound by the ratio.
    pub compressed_bytes: Option<u64>,
    /// Decompressed bytes for each compressed byte of the whole layer, beyond a first gibibyte, which is free: single
    /// files of zeros compress by a thousand and more, whole layers of software and text by thirty at most.
    pub ratio: u64,
    /// How long to wait for another that unpacks the same layer before doing it beside that one. Most layers are there
    /// by then; where one is not, it costs a second transfer.
    pub patience: Duration,
}

/// What a layer may hold whatever its ratio is.
const FREE_OF_RATIO_BYTES: u64 = 1 << 30;

impl Default for LayerLimits {
    fn default() -> Self {
        Self {
            bytes: 128 << 30,
            entries: 8_000_000,
            depth: 256,
            path_bytes: 4095,
            name_bytes: 255,
            compressed_bytes: None,
            ratio: 100,
            patience: Duration::from_secs(30),
        }
    }
}

impl LayerLimits {
    /// The defaults for a layer whose compressed blob has this size (bytes).
    pub fn for_compressed(bytes: u64) -> Self {
        Self { compressed_bytes: Some(bytes), ..Self::default() }
    }

    /// Where the reader stopped at [`Self::stream_bytes`]: says so, rather than that the stream failed.
    pub fn said_of(&self, error: LayerError) -> LayerError {
        let mut next: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(cause) = next {
            if cause.downcast_ref::<io::Error>().is_some_and(|cause| {
                cause.kind() == io::ErrorKind::FileTooLarge && cause.raw_os_error().is_none()
            }) {
                return self.too_long();
            }
            next = cause.source();
        }
        error
    }

    /// What is said of a stream that has more bytes than [`Self::stream_bytes`].
    pub fn too_long(&self) -> LayerError {
        match (self.compressed_bytes, self.stream_bytes()) {
            (Some(compressed_bytes), limit_bytes) if limit_bytes < self.bytes => {
                LayerError::Ratio { compressed_bytes, limit_bytes }
            }
            _ => LayerError::Limit { what: "bytes", limit: self.bytes },
        }
    }

    /// The most bytes that the decompressed stream may have.
    pub fn stream_bytes(&self) -> u64 {
        let by_ratio = self.compressed_bytes.map_or(u64::MAX, |compressed| {
            compressed.saturating_mul(self.ratio).saturating_add(FREE_OF_RATIO_BYTES)
        });
        self.bytes.min(by_ratio)
    }
}
