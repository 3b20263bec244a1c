//! What one layer may cost.

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
    /// Size of the compressed blob, where the caller knows it.
    pub compressed_bytes: Option<u64>,
    /// Decompressed bytes for each compressed byte, beyond a first gibibyte, which is free: zeros compress well.
    pub ratio: u64,
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
            ratio: 200,
        }
    }
}

impl LayerLimits {
    /// The most bytes that the decompressed stream may have.
    pub(crate) fn stream_bytes(&self) -> u64 {
        let by_ratio = self.compressed_bytes.map_or(u64::MAX, |compressed| {
            compressed.saturating_mul(self.ratio).saturating_add(FREE_OF_RATIO_BYTES)
        });
        self.bytes.min(by_ratio)
    }
}
