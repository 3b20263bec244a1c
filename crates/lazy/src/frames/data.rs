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
    /// What readers find, one bit for each frame.
    has: Vec<u64>,
    /// Of these, what is not yet durable.
    written: Vec<u32>,
}

impl DataFile {
    /// Takes the data file, open for reading and writing and as long as the layer; `present` says what is in it.
    ///
    /// # Errors
    /// It has another length, as one that was closed when its holder died.
    pub fn open(data: File, present: &Present, map: &FrameMap) -> Result<Self, FillError> {
        let failed = |source| FillError::Io { action: "used", source };
        if data.metadata().map_err(failed)?.len() != map.data_bytes() {
            return Err(failed(io::ErrorKind::InvalidData.into()));
        }
        let mut has = vec![0; map.len().div_ceil(64) as usize];
        for frame in (0..map.len()).filter(|&frame| present.has(frame)) {
            has[frame as usize / 64] |= 1 << (frame % 64);
        }
        Ok(Self { data, has, written: Vec::new() })
    }

    /// Whether readers find the frame.
    pub fn has(&self, frame: u32) -> bool {
        self.has.get(frame as usize / 64).is_some_and(|word| word >> (frame % 64) & 1 != 0)
    }

    /// Writes a frame, if that is what it is. Readers find it from then on; a power cut takes it unless it was given to
    /// [`Present::add`].
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
        if let Some(word) = self.has.get_mut(frame.number as usize / 64) {
            *word |= 1 << (frame.number % 64);
            self.written.push(frame.number);
        }
        Ok(())
    }

    /// The frames written since this was last asked, for [`Present::add`]; none if they are fewer than `least`.
    pub fn take_written(&mut self, least: usize) -> Vec<u32> {
        if self.written.len() < least { Vec::new() } else { std::mem::take(&mut self.written) }
    }

    /// Reads all of a complete layer and compares it with its diff ID. Only then may it be used without its frames being
    /// verified: each of them is what the map says, but the map may come from elsewhere. `data` was opened before the
    /// file was marked.
    ///
    /// # Errors
    /// It is another layer, or cannot be read.
    pub fn verify(data: &File, map: &FrameMap) -> Result<(), FillError> {
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
        let mut at_bytes = 0;
        while at_bytes < map.data_bytes() {
            let most = usize::try_from(map.data_bytes() - at_bytes).unwrap_or(usize::MAX).min(buffer.len());
            let read = data.read_exact_at(&mut buffer[..most], at_bytes);
            read.map_err(|source| FillError::Io { action: "read", source })?;
            hash.update(&buffer[..most]);
            at_bytes += most as u64;
        }
        if hash.finalize().as_slice() == map.diff_id() { Ok(()) } else { Err(FillError::DiffId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_once_it_is_stored_and_kept_once_it_is_added() {
        let file = || tempfile::tempfile().unwrap();
        let (data, bits) = (file(), file());
        let (first, last) = (vec![1; 1 << 16], vec![2; 1000]);
        let diff_id = Sha256::new().chain_update(&first).chain_update(&last).finalize().into();
        let mut map = FrameMap::new(diff_id, 1 << 16).unwrap();
        map.push(&first, 0..10).unwrap();
        map.push(&last, 10..20).unwrap();
        let present = || Present::open(bits.try_clone().unwrap(), &map).unwrap();
        assert!(DataFile::open(data.try_clone().unwrap(), &present(), &map).is_err());
        data.set_len(map.data_bytes()).unwrap();
        let mut filling = DataFile::open(data.try_clone().unwrap(), &present(), &map).unwrap();

        let frames = [map.frame(0).unwrap(), map.frame(1).unwrap()];
        let wrong = filling.store(&frames[0], &last);
        assert!(matches!(wrong, Err(FillError::Mismatch { number: 0 })) && !filling.has(0));
        filling.store(&frames[1], &last).unwrap();
        assert!(filling.has(1) && !filling.has(2));
        // Not noted yet: as after a power cut.
        assert!(!DataFile::open(data.try_clone().unwrap(), &present(), &map).unwrap().has(1));
        assert!(filling.take_written(2).is_empty());
        present().add(&filling.take_written(1), &data).unwrap();
        let mut again = DataFile::open(data.try_clone().unwrap(), &present(), &map).unwrap();
        assert!(again.has(1) && !again.has(0));
        assert!(matches!(DataFile::verify(&data, &map), Err(FillError::DiffId)));
        again.store(&frames[0], &first).unwrap();
        DataFile::verify(&data, &map).unwrap();
    }
}
