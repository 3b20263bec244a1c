//! Sparse files: cut into chunks that are holes, lie in the tar as they are, or must be copied into the index.
//!
//! A tar keeps the pieces of a sparse file one behind the other, so a chunk can be referred to only if one piece covers
//! it and begins at the same place of a block there as in the file. GNU tar makes archives where that holds for all but
//! the edges. Long chunks need few indexes and much copying, short ones the other way round: what is shortest is taken.

use std::io::{BufRead, Seek, Write};

use super::output::{Output, too_large};
use super::{IndexError, LayerError};
use crate::erofs::BLOCK_BYTES;
use crate::erofs::chunk::{ChunkBits, INDEX_BYTES, Place};
use crate::layer::{Piece, Reader};

/// The longest chunk that is put together in memory.
const MAX_COPIED_BYTES: u64 = 1 << 20;

/// Where a sparse file lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    pub(super) size_bytes: u64,
    pub(super) bits: ChunkBits,
    runs: Vec<Run>,
}

/// Chunks that lie one behind the other, in the file and elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    count: u64,
    /// Of the first.
    place: Place,
}

impl Chunks {
    pub(super) fn held_bytes(&self) -> usize {
        self.runs.len() * size_of::<Run>()
    }

    /// Every chunk's place, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        let blocks = u32::try_from(self.bits.bytes() / BLOCK_BYTES).unwrap_or(u32::MAX);
        let mut runs = self.runs.iter().peekable();
        (0..self.bits.count(self.size_bytes)).map(move |chunk| {
            while runs.next_if(|run| run.first + run.count <= chunk).is_some() {}
            let Some(run) = runs.peek().filter(|run| run.first <= chunk) else { return Place::Hole };
            let behind = u32::try_from(chunk - run.first).unwrap_or(u32::MAX).saturating_mul(blocks);
            match run.place {
                Place::Hole => Place::Hole,
                Place::Index(block) => Place::Index(block.saturating_add(behind)),
                Place::Tar(block) => Place::Tar(block.saturating_add(behind)),
            }
        })
    }
}

/// Cuts the file that `data` stands before, and copies what must be copied to `out`.
pub(super) fn index<R: BufRead, W: Write + Seek>(
    size_bytes: u64,
    pieces: &[Piece],
    data: &mut Reader<R>,
    out: &mut Output<W>,
) -> Result<Chunks, IndexError> {
    let tar_bytes = data.offset_bytes();
    let bits = shortest(size_bytes, pieces, tar_bytes);
    let blocks = bits.bytes() / BLOCK_BYTES;
    let mut block = u64::from(out.next_block()?);
    let mut runs = Vec::new();
    cut(size_bytes, pieces, tar_bytes, bits, |first, count, tar_block| {
        let place = match tar_block {
            // Within the first 2 TiB, as the caller has seen.
            Some(block) => Place::Tar(u32::try_from(block).unwrap_or(u32::MAX)),
            None => {
                let place = Place::Index(u32::try_from(block).unwrap_or(u32::MAX));
                block += count * blocks;
                place
            }
        };
        runs.push(Run { first, count, place });
    });
    if block >= u64::from(u32::MAX) {
        return Err(too_large());
    }
    let chunks = Chunks { size_bytes, bits, runs };
    copy(&chunks, pieces, data, out)?;
    Ok(chunks)
}

/// The chunks with which indexes and copies are shortest.
fn shortest(size_bytes: u64, pieces: &[Piece], tar_bytes: u64) -> ChunkBits {
    let whole = ChunkBits::of_whole(size_bytes);
    if pieces.is_empty() {
        return whole;
    }
    let mut best = (u64::MAX, whole);
    let mut bits = ChunkBits::SMALLEST;
    while bits <= whole && bits.bytes() <= MAX_COPIED_BYTES {
        let mut cost = bits.count(size_bytes).saturating_mul(INDEX_BYTES);
        cut(size_bytes, pieces, tar_bytes, bits, |_, count, tar_block| {
            if tar_block.is_none() {
                cost = cost.saturating_add(count.saturating_mul(bits.bytes()));
            }
        });
        if cost < best.0 {
            best = (cost, bits);
        }
        bits = bits.longer();
    }
    best.1
}

/// Tells `found` of every run of chunks with data, in order: its first chunk, their number, and where it begins in the tar
/// unless it must be copied.
fn cut(
    size_bytes: u64,
    pieces: &[Piece],
    tar_bytes: u64,
    bits: ChunkBits,
    mut found: impl FnMut(u64, u64, Option<u64>),
) {
    let chunk_bytes = bits.bytes();
    let mut tar_bytes = tar_bytes;
    // The first chunk that nothing has been said of.
    let mut next = 0;
    for &Piece { offset_bytes, len_bytes } in pieces {
        let end_bytes = offset_bytes + len_bytes;
        let first = offset_bytes / chunk_bytes;
        let last = end_bytes.div_ceil(chunk_bytes);
        let mut whole = offset_bytes.div_ceil(chunk_bytes)..end_bytes / chunk_bytes;
        if end_bytes == size_bytes {
            whole.end = last;
        }
        if whole.is_empty() || tar_bytes % BLOCK_BYTES != offset_bytes % BLOCK_BYTES {
            whole = last..last;
        }
        let mut say = |range: std::ops::Range<u64>, tar_block| {
            if !range.is_empty() {
                found(range.start, range.end - range.start, tar_block);
            }
        };
        say(first.max(next)..whole.start, None);
        if !whole.is_empty() {
            let block = (tar_bytes + (whole.start * chunk_bytes - offset_bytes)) / BLOCK_BYTES;
            say(whole.clone(), Some(block));
            say(whole.end..last, None);
        }
        next = last;
        tar_bytes += len_bytes;
    }
}

/// Reads the data of all pieces and writes those chunks that are to lie in the index.
fn copy<R: BufRead, W: Write + Seek>(
    chunks: &Chunks,
    pieces: &[Piece],
    data: &mut Reader<R>,
    out: &mut Output<W>,
) -> Result<(), IndexError> {
    let mut copied = chunks.runs.iter().filter(|run| matches!(run.place, Place::Index(_))).peekable();
    if copied.peek().is_none() {
        return Ok(());
    }
    let chunk_bytes = chunks.bits.bytes();
    let mut chunk = vec![0; usize::try_from(chunk_bytes).map_err(|_| too_large())?];
    let mut held = None;
    for piece in pieces {
        let (mut at_bytes, mut left_bytes) = (piece.offset_bytes, piece.len_bytes);
        while left_bytes > 0 {
            let bytes = data.data().map_err(LayerError::from)?;
            let number = at_bytes / chunk_bytes;
            let within = at_bytes % chunk_bytes;
            let most = usize::try_from(left_bytes.min(chunk_bytes - within)).unwrap_or(usize::MAX);
            let len = most.min(bytes.len());
            if len == 0 {
                break;
            }
            while copied.next_if(|run| run.first + run.count <= number).is_some() {}
            if copied.peek().is_some_and(|run| run.first <= number) {
                if held.is_some_and(|held| held != number) {
                    out.write(&chunk)?;
                    chunk.fill(0);
                }
                held = Some(number);
                let within = usize::try_from(within).unwrap_or_default();
                chunk[within..within + len].copy_from_slice(&bytes[..len]);
            }
            data.consume(len);
            at_bytes += len as u64;
            left_bytes -= len as u64;
        }
    }
    if held.is_some() {
        out.write(&chunk)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(list: &[(u64, u64)]) -> Vec<Piece> {
        list.iter().map(|&(offset_bytes, len_bytes)| Piece { offset_bytes, len_bytes }).collect()
    }

    fn runs(size: u64, list: &[(u64, u64)], bits: ChunkBits) -> Vec<(u64, u64, Option<u64>)> {
        let mut runs = Vec::new();
        cut(size, &pieces(list), 512, bits, |first, count, block| runs.push((first, count, block)));
        runs
    }

    #[test]
    fn what_is_aligned_is_referred_to_and_the_rest_is_copied() {
        let bits = ChunkBits::SMALLEST;
        assert_eq!(runs(4096, &[(1024, 1024)], bits), [(2, 2, Some(1))]);
        // The end of the file is the end of a chunk.
        assert_eq!(runs(4000, &[(1024, 2976)], bits), [(2, 6, Some(1))]);
        // The second piece does not begin where it does in a block of the tar; the chunk between belongs to both.
        assert_eq!(runs(4096, &[(0, 700), (800, 1000)], bits), [(0, 1, Some(1)), (1, 1, None), (2, 2, None)]);
        let longer = bits.longer();
        assert_eq!(runs(4096, &[(512, 2048)], longer), [(0, 1, None), (1, 1, Some(2)), (2, 1, None)]);
    }

    #[test]
    fn long_holes_get_long_chunks() {
        let far = pieces(&[(1 << 36, 512)]);
        let bits = shortest((1 << 36) + 512, &far, 512);
        assert!(bits.bytes() >= 1 << 19, "{bits:?}");
        assert_eq!(shortest(1 << 36, &[], 512).count(1 << 36), 1);
    }
}
