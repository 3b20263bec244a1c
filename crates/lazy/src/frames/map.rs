//! The frame map: where each frame of a layer lies in the compressed blob, and what it must be.

use std::io::Read;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::sealed::{FormatError, Kind};

const KIND: Kind = Kind { magic: b"GFRFRMAP", version: 1, what: "frame map" };

/// The lengths that frames may have, in bytes: powers of two.
pub const FRAME_BYTES: std::ops::RangeInclusive<u32> = 64 << 10..=256 << 10;
/// The longest layer: 2 TiB, as far as an index reaches.
const MAX_DATA_BYTES: u64 = 2 << 40;
/// An entry: offset, length, digest.
const ENTRY_BYTES: usize = 8 + 4 + 32;

/// A layer's frames: pieces of its decompressed tar of equal length, but for the last, each compressed by itself.
///
/// ```text
/// diff ID (32 bytes) | length of the tar (u64) | of the blob (u64) | of a frame (u32) | frames (u32)
/// for each frame: offset in the blob (u64) | length there (u32) | SHA-256 of what it decompresses to (32 bytes)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameMap {
    diff_id: [u8; 32],
    data_bytes: u64,
    blob_bytes: u64,
    frame_bytes: u32,
    frames: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    offset_bytes: u64,
    len_bytes: u32,
    sha256: [u8; 32],
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which one.
    pub number: u32,
    /// Where it lies in the tar, in bytes.
    pub data: Range<u64>,
    /// Where it lies in the compressed blob, in bytes.
    pub blob: Range<u64>,
    /// The SHA-256 of its data.
    pub sha256: [u8; 32],
}

impl FrameMap {
    /// A map to be filled by [`Self::push`]: of the layer with this diff ID, in frames of this length.
    ///
    /// # Errors
    /// `frame_bytes` is none of [`FRAME_BYTES`].
    pub fn new(diff_id: [u8; 32], frame_bytes: u32) -> Result<Self, FormatError> {
        if !FRAME_BYTES.contains(&frame_bytes) || !frame_bytes.is_power_of_two() {
            return Err(KIND.refused("its frames have a length that frames may not have"));
        }
        Ok(Self { diff_id, data_bytes: 0, blob_bytes: 0, frame_bytes, frames: Vec::new() })
    }

    /// Adds the frame with `data`, which lies at `blob` in the compressed blob. Only the last frame may be shorter than others.
    ///
    /// # Errors
    /// The frame does not fit.
    pub fn push(&mut self, data: &[u8], blob: Range<u64>) -> Result<(), FormatError> {
        let full = self.data_bytes.is_multiple_of(self.frame_bytes.into());
        if data.is_empty() || data.len() > self.frame_bytes as usize || !full {
            return Err(KIND.refused("a frame is too long, empty, or behind one that is short"));
        }
        let len_bytes = u32::try_from(blob.end.saturating_sub(blob.start)).unwrap_or(u32::MAX);
        let sha256 = Sha256::digest(data).into();
        let data_bytes = self.data_bytes + data.len() as u64;
        let entry = Entry { offset_bytes: blob.start, len_bytes, sha256 };
        let blob_bytes = self.blob_bytes.max(blob.end);
        self.check(&entry, blob_bytes)?;
        self.frames.push(entry);
        (self.data_bytes, self.blob_bytes) = (data_bytes, blob_bytes);
        Ok(())
    }

    /// Reads a map, as hostile.
    ///
    /// # Errors
    /// It cannot be read, is none, is damaged, or describes what cannot be.
    pub fn read(from: impl Read) -> Result<Self, FormatError> {
        let frames = MAX_DATA_BYTES / u64::from(*FRAME_BYTES.start());
        let body = KIND.open(from, 56 + frames * ENTRY_BYTES as u64)?;
        let mut fields = body.fields();
        let short = || KIND.refused("it ends too early");
        let diff_id = fields.bytes().ok_or_else(short)?;
        let data_bytes = fields.u64().ok_or_else(short)?;
        let blob_bytes = fields.u64().ok_or_else(short)?;
        let frame_bytes = fields.u32().ok_or_else(short)?;
        let count = fields.u32().ok_or_else(short)?;
        let mut map = Self::new(diff_id, frame_bytes)?;
        if data_bytes > MAX_DATA_BYTES || u64::from(count) != data_bytes.div_ceil(frame_bytes.into()) {
            return Err(KIND.refused("it has not as many frames as the layer"));
        }
        if fields.left_bytes() != count as usize * ENTRY_BYTES {
            return Err(KIND.refused("it has not as many frames as it says"));
        }
        map.frames.reserve_exact(count as usize);
        for _ in 0..count {
            let entry = Entry {
                offset_bytes: fields.u64().ok_or_else(short)?,
                len_bytes: fields.u32().ok_or_else(short)?,
                sha256: fields.bytes().ok_or_else(short)?,
            };
            map.check(&entry, blob_bytes)?;
            map.frames.push(entry);
        }
        Ok(Self { data_bytes, blob_bytes, ..map })
    }

    /// The file that [`Self::read`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(56 + self.frames.len() * ENTRY_BYTES);
        body.extend(self.diff_id);
        body.extend(self.data_bytes.to_le_bytes());
        body.extend(self.blob_bytes.to_le_bytes());
        body.extend(self.frame_bytes.to_le_bytes());
        body.extend(self.len().to_le_bytes());
        for frame in &self.frames {
            body.extend(frame.offset_bytes.to_le_bytes());
            body.extend(frame.len_bytes.to_le_bytes());
            body.extend(frame.sha256);
        }
        KIND.seal(&body)
    }

    /// The SHA-256 of the whole tar.
    pub fn diff_id(&self) -> &[u8; 32] {
        &self.diff_id
    }

    /// Length of the decompressed tar.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    /// Length of the compressed blob, as far as frames lie in it.
    pub fn blob_bytes(&self) -> u64 {
        self.blob_bytes
    }

    /// How many frames there are.
    pub fn len(&self) -> u32 {
        // No more are read, and `push` takes none beyond the longest layer.
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// Whether the layer is empty.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame `number`; `None` if there are fewer.
    pub fn frame(&self, number: u32) -> Option<Frame> {
        let entry = self.frames.get(number as usize)?;
        let start = u64::from(number) * u64::from(self.frame_bytes);
        let end = (start + u64::from(self.frame_bytes)).min(self.data_bytes);
        Some(Frame {
            number,
            data: start..end,
            blob: entry.offset_bytes..entry.offset_bytes + u64::from(entry.len_bytes),
            sha256: entry.sha256,
        })
    }

    /// The numbers of the frames that a range of the tar touches; of what lies behind its end there are none.
    pub fn touched(&self, data: Range<u64>) -> Range<u32> {
        if data.is_empty() {
            return 0..0;
        }
        let frame_bytes = u64::from(self.frame_bytes);
        let end = data.end.min(self.data_bytes).div_ceil(frame_bytes);
        let start = (data.start / frame_bytes).min(end);
        u32::try_from(start).unwrap_or(u32::MAX)..u32::try_from(end).unwrap_or(u32::MAX)
    }

    /// A compressed frame lies in the blob and is not much longer than its data; zstd and deflate grow less than that.
    fn check(&self, entry: &Entry, blob_bytes: u64) -> Result<(), FormatError> {
        let end = entry.offset_bytes.checked_add(entry.len_bytes.into());
        if entry.len_bytes == 0 || end.is_none_or(|end| end > blob_bytes) {
            return Err(KIND.refused("a frame does not lie in the blob"));
        }
        if entry.len_bytes > self.frame_bytes + self.frame_bytes / 128 + 1024 {
            return Err(KIND.refused("a frame is longer compressed than it could be"));
        }
        if self.len() as u64 * u64::from(self.frame_bytes) >= MAX_DATA_BYTES {
            return Err(KIND.refused("the layer is longer than 2 TiB"));
        }
        Ok(())
    }
}

impl Frame {
    /// Length of its data.
    pub fn data_bytes(&self) -> usize {
        usize::try_from(self.data.end - self.data.start).unwrap_or(usize::MAX)
    }

    /// Whether `data` is this frame's.
    pub fn is(&self, data: &[u8]) -> bool {
        data.len() == self.data_bytes() && Sha256::digest(data).as_slice() == self.sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> FrameMap {
        let mut map = FrameMap::new([7; 32], 1 << 16).unwrap();
        map.push(&[1; 1 << 16], 0..100).unwrap();
        map.push(&[2; 1 << 16], 100..250).unwrap();
        map.push(&[3; 1000], 250..300).unwrap();
        map
    }

    #[test]
    fn a_map_is_read_as_it_was_written() {
        let map = map();
        assert_eq!(FrameMap::read(map.encode().as_slice()).unwrap(), map);
        assert_eq!((map.data_bytes(), map.blob_bytes(), map.len()), ((2 << 16) + 1000, 300, 3));
        let last = map.frame(2).unwrap();
        assert_eq!((last.data.clone(), last.blob.clone()), (2 << 16..(2 << 16) + 1000, 250..300));
        assert!(last.is(&[3; 1000]) && !last.is(&[3; 999]) && !last.is(&[4; 1000]));
        assert_eq!(map.frame(3), None);
    }

    #[test]
    fn touched_frames_are_those_of_the_range() {
        let map = map();
        assert_eq!(map.touched(0..1), 0..1);
        assert_eq!(map.touched((1 << 16) - 1..(1 << 16) + 1), 0..2);
        assert_eq!(map.touched(0..u64::MAX), 0..3);
        assert!(map.touched(1 << 20..1 << 21).is_empty());
        assert!(map.touched(5..5).is_empty());
    }

    #[test]
    fn frames_that_cannot_be_are_refused() {
        assert!(FrameMap::new([0; 32], 1 << 12).is_err());
        assert!(FrameMap::new([0; 32], 100_000).is_err());
        let mut map = map();
        assert!(map.push(&[1; 10], 300..310).is_err(), "behind a short one");
        let mut map = FrameMap::new([7; 32], 1 << 16).unwrap();
        assert!(map.push(&[], 0..1).is_err());
        assert!(map.push(&[1; 10], 5..5).is_err());
        assert!(map.push(&[1; 10], 0..1 << 20).is_err());
    }
}
