//! Which frames are in the data file, durably: a bit is on disk only after its frame is.
//!
//! ```text
//! sector 0: kind (8 bytes) | version (u32) | frames (u32) | diff ID (32 bytes) | zeros | checksum
//! then: 4064 bits in sectors of 512 bytes, each with a checksum (CRC-32C, u32) in its last 4 bytes
//! ```
//!
//! Disks write a sector whole or not at all. One that is damaged all the same says nothing, and its frames count as absent:
//! they are fetched again. Holes of the data file (lseek(2), `SEEK_HOLE`) are never asked: after a power cut they may
//! claim data that is zeros.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::FrameMap;
use crate::erofs::crc32c;

const MAGIC: &[u8; 8] = b"GFRPRSNT";
const VERSION: u32 = 1;
const SECTOR_BYTES: usize = 512;
/// All but the checksum.
const SECTOR_BITS: u32 = 8 * 508;

/// The bits, in memory as on disk.
#[derive(Debug)]
pub struct Present {
    file: File,
    frames: u32,
    sectors: Vec<Sector>,
    missing: u32,
}

#[derive(Debug, Clone)]
struct Sector {
    bits: [u8; SECTOR_BYTES - 4],
    /// Not yet on disk.
    is_changed: bool,
}

impl Present {
    /// Reads the bits of the layer `map` from `file`, which is opened for reading and writing. An empty file, one of
    /// another layer, or a damaged one counts as saying that nothing is there, and is made anew.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(file: File, map: &FrameMap) -> io::Result<Self> {
        let frames = map.len();
        let empty = Sector { bits: [0; SECTOR_BYTES - 4], is_changed: false };
        let sectors = vec![empty; frames.div_ceil(SECTOR_BITS) as usize];
        let mut present = Self { file, frames, sectors, missing: frames };
        let header = present.header(map);
        let mut found = [0; SECTOR_BYTES];
        if read_at(&present.file, &mut found, 0)? && found == header {
            present.load()?;
        } else {
            // The bits of another layer go before the header says that they are this one's.
            present.file.set_len(0)?;
            present.file.sync_all()?;
            present.file.write_all_at(&header, 0)?;
            present.file.sync_all()?;
        }
        Ok(present)
    }

    /// Whether the frame is in the data file, and will be after a power cut.
    pub fn has(&self, frame: u32) -> bool {
        frame < self.frames
            && self.sectors[(frame / SECTOR_BITS) as usize].bits[byte(frame)] & bit(frame) != 0
    }

    /// How many frames are not there.
    pub fn missing(&self) -> u32 {
        self.missing
    }

    /// Notes frames whose data is in `data`, the data file. Returns when both are on disk, the data first.
    ///
    /// # Errors
    /// Something cannot be written. The bits may then be on disk or not; their frames are.
    pub fn add(&mut self, frames: &[u32], data: &File) -> io::Result<()> {
        data.sync_data()?;
        for &frame in frames.iter().filter(|&&frame| frame < self.frames) {
            if !self.has(frame) {
                self.missing -= 1;
            }
            let sector = &mut self.sectors[(frame / SECTOR_BITS) as usize];
            sector.bits[byte(frame)] |= bit(frame);
            sector.is_changed = true;
        }
        for (number, sector) in (1_u64..).zip(&mut self.sectors).filter(|(_, sector)| sector.is_changed) {
            self.file.write_all_at(&with_sum(&sector.bits), number * SECTOR_BYTES as u64)?;
            sector.is_changed = false;
        }
        self.file.sync_data()
    }

    fn load(&mut self) -> io::Result<()> {
        for number in 0..self.sectors.len() {
            let mut found = [0; SECTOR_BYTES];
            let is_whole = read_at(&self.file, &mut found, (number as u64 + 1) * SECTOR_BYTES as u64)?;
            let Some((bits, _)) = found.split_first_chunk() else { continue };
            if is_whole && found == with_sum(bits) {
                self.sectors[number].bits = *bits;
            }
        }
        let present = (0..self.frames).filter(|&frame| self.has(frame)).count();
        self.missing = self.frames - u32::try_from(present).unwrap_or(u32::MAX);
        Ok(())
    }

    fn header(&self, map: &FrameMap) -> [u8; SECTOR_BYTES] {
        let mut header = [0; SECTOR_BYTES - 4];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&self.frames.to_le_bytes());
        header[16..48].copy_from_slice(map.diff_id());
        with_sum(&header)
    }
}

fn byte(frame: u32) -> usize {
    (frame % SECTOR_BITS / 8) as usize
}

fn bit(frame: u32) -> u8 {
    1 << (frame % 8)
}

fn with_sum(bits: &[u8; SECTOR_BYTES - 4]) -> [u8; SECTOR_BYTES] {
    let mut sector = [0; SECTOR_BYTES];
    sector[..SECTOR_BYTES - 4].copy_from_slice(bits);
    sector[SECTOR_BYTES - 4..].copy_from_slice(&crc32c(bits).to_le_bytes());
    sector
}

/// Whether there is as much.
fn read_at(file: &File, buffer: &mut [u8], offset_bytes: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, offset_bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(frames: usize) -> FrameMap {
        let mut map = FrameMap::new([7; 32], 1 << 16).unwrap();
        for _ in 0..frames {
            map.push(&[1; 1 << 16], 0..10).unwrap();
        }
        map
    }

    #[test]
    fn bits_survive_and_damaged_sectors_say_nothing() {
        let (file, data) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let map = map(4200);
        let mut present = Present::open(file.try_clone().unwrap(), &map).unwrap();
        assert_eq!(present.missing(), 4200);
        present.add(&[0, 5, 4063, 4064, 4199, 4200, 5], &data).unwrap();
        let again = Present::open(file.try_clone().unwrap(), &map).unwrap();
        assert_eq!(again.missing(), 4195);
        for frame in [0, 5, 4063, 4064, 4199] {
            assert!(again.has(frame), "{frame}");
        }
        assert!(!again.has(1) && !again.has(4200) && !again.has(u32::MAX));
        // One flipped bit: that sector is not believed, the other is.
        file.write_all_at(&[0xff], 512 + 100).unwrap();
        let again = Present::open(file.try_clone().unwrap(), &map).unwrap();
        assert_eq!(again.missing(), 4198);
        assert!(!again.has(0) && again.has(4064));
        // Cut off, or of another layer.
        file.set_len(1000).unwrap();
        assert_eq!(Present::open(file.try_clone().unwrap(), &map).unwrap().missing(), 4200);
        Present::open(file.try_clone().unwrap(), &map).unwrap().add(&[1], &data).unwrap();
        assert_eq!(
            Present::open(file.try_clone().unwrap(), &super::tests::map(4199)).unwrap().missing(),
            4199
        );
        assert_eq!(Present::open(file, &map).unwrap().missing(), 4200);
    }
}
