//! The image under way: written front to back, the superblock last.

use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use super::IndexError;
use crate::erofs::BLOCK_BYTES;
use crate::erofs::superblock::{FIRST_FREE_BLOCK, Superblock};

pub(super) struct Output<W: Write> {
    file: BufWriter<W>,
    position_bytes: u64,
}

impl<W: Write + Seek> Output<W> {
    /// Leaves room for the superblock.
    pub(super) fn new(file: W) -> Result<Self, IndexError> {
        let mut output = Self { file: BufWriter::with_capacity(1 << 16, file), position_bytes: 0 };
        output.pad_to(u64::from(FIRST_FREE_BLOCK) * BLOCK_BYTES)?;
        Ok(output)
    }

    pub(super) fn position_bytes(&self) -> u64 {
        self.position_bytes
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.file.write_all(bytes).map_err(IndexError::Write)?;
        self.position_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Zeros up to `position_bytes`, which is not far away.
    pub(super) fn pad_to(&mut self, position_bytes: u64) -> Result<(), IndexError> {
        const ZEROS: [u8; 64] = [0; 64];
        while self.position_bytes < position_bytes {
            let left = usize::try_from(position_bytes - self.position_bytes).unwrap_or(usize::MAX);
            self.write(&ZEROS[..left.min(ZEROS.len())])?;
        }
        Ok(())
    }

    /// Zeros up to the next block; its number.
    pub(super) fn next_block(&mut self) -> Result<u32, IndexError> {
        self.pad_to(self.position_bytes.next_multiple_of(BLOCK_BYTES))?;
        u32::try_from(self.position_bytes / BLOCK_BYTES).map_err(|_| too_large())
    }

    /// Writes the superblock, and gives the length of the whole.
    pub(super) fn finish(mut self, superblock: &Superblock) -> Result<u64, IndexError> {
        let mut finish = || -> io::Result<()> {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&superblock.encode())?;
            self.file.flush()
        };
        finish().map_err(IndexError::Write)?;
        Ok(self.position_bytes)
    }
}

/// What is said where numbers of blocks do not suffice.
pub(super) fn too_large() -> IndexError {
    IndexError::Write(io::ErrorKind::FileTooLarge.into())
}
