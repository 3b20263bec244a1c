//! Where frames come from.

use std::io;
use std::ops::Range;

use crate::frames::Frame;

/// Gives the data of frames. The engine makes one of a registry and keeps it authorised; several threads use it at once.
pub trait FrameSource: Sync {
    /// The decompressed data of `frame`, which is not trusted: the filler compares it with the frame map.
    ///
    /// # Errors
    /// It cannot be had now; the filler asks again until its patience ends.
    fn frame(&self, frame: &Frame) -> io::Result<Vec<u8>>;
}

/// Frames that are zstd frames of a blob, which `fetch` gives ranges of.
#[derive(Debug)]
pub struct ZstdFrames<F>(pub F);

impl<F: Fn(Range<u64>) -> io::Result<Vec<u8>> + Sync> FrameSource for ZstdFrames<F> {
    fn frame(&self, frame: &Frame) -> io::Result<Vec<u8>> {
        let compressed = (self.0)(frame.blob.clone())?;
        // No more room than the frame needs: a bomb fails.
        zstd::bulk::decompress(&compressed, frame.data_bytes())
    }
}
