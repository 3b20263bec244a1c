//! The data file: a layer's decompressed tar, with holes where frames are missing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use super::{Frame, FrameMap, Present};

/// A frame that cannot be stored, or a layer that is not complete.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// It is not what the frame map says.
    #[error("frame {number} of the layer is not what its frame map says")]
    Mismatch {
        /// Which frame.
        number: u32,
    },
    /// All frames are what the frame map says, but together they are another layer.
    #[error(
        "the layer is not what the image's config says, although each of its frames is what the frame map says"
    )]
    DiffId,
    /// A file cannot be written or read.
    #[error("the data of the layer cannot be {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A data file and what is known to be in it.
///
/// The descriptor must have been opened before the file is marked for pre-content events: writing through one opened
/// later would raise an event that only the writer could answer.
#[derive(Debug)]
pub struct DataFile {
    data: File,
    present: Present,
    /// Written, not yet durable.
    written: Vec<u32>,
}

impl DataFile {
    /// Takes the data file and the file of its bits, both open for reading and writing, and gives the former its length.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn open(data: File, present: File, map: &FrameMap) -> Result<Self, FillError> {
        let failed = |source| FillError::Io { action: "set up", source };
        let present = Present::open(present, map).map_err(failed)?;
        if data.metadata().map_err(failed)?.len() != map.data_bytes() {
            data.set_len(map.data_bytes()).map_err(failed)?;
        }
        Ok(Self { data, present, written: Vec::new() })
    }

    /// Whether readers find the frame.
    pub fn has(&self, frame: u32) -> bool {
        self.present.has(frame) || self.written.contains(&frame)
    }

    /// How many frames are missing or not yet durable.
    pub fn missing(&self) -> u32 {
        self.present.missing()
    }

    /// Writes a frame, if that is what it is. Readers find it from then on; after a power cut only what [`Self::sync`] has seen.
    ///
    /// # Errors
    /// `data` is not the frame's, or cannot be written. The file is then as before.
    pub fn store(&mut self, frame: &Frame, data: &[u8]) -> Result<(), FillError> {
        if !frame.is(data) {
            return Err(FillError::Mismatch { number: frame.number });
        }
        self.data
            .write_all_at(data, frame.data.start)
            .map_err(|source| FillError::Io { action: "written", source })?;
        if !self.has(frame.number) {
            self.written.push(frame.number);
        }
        Ok(())
    }

    /// Makes durable what was written: the data first, then the bits.
    ///
    /// # Errors
    /// A file cannot be written; what was durable stays so.
    pub fn sync(&mut self) -> Result<(), FillError> {
        if self.written.is_empty() {
            return Ok(());
        }
        let failed = |source| FillError::Io { action: "made durable", source };
        self.present.add(&self.written, &self.data).map_err(failed)?;
        self.written.clear();
        Ok(())
    }

    /// Reads all of a complete layer and compares it with its diff ID. Only then may it be used without its frames being
    /// verified: each of them is what the map says, but the map may come from elsewhere.
    ///
    /// # Errors
    /// It is another layer, or cannot be read.
    pub fn verify(&self, map: &FrameMap) -> Result<(), FillError> {
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
        let mut at_bytes = 0;
        while at_bytes < map.data_bytes() {
            let most = usize::try_from(map.data_bytes() - at_bytes).unwrap_or(usize::MAX).min(buffer.len());
            let read = self.data.read_exact_at(&mut buffer[..most], at_bytes);
            read.map_err(|source| FillError::Io { action: "read", source })?;
            hash.update(&buffer[..most]);
            at_bytes += most as u64;
        }
        if hash.finalize().as_slice() == map.diff_id() { Ok(()) } else { Err(FillError::DiffId) }
    }
}
