//! Maps of sparse files, checked before anything is written.

use super::header::BLOCK_BYTES as HEADER_BYTES;
use super::{Piece, TarFault};

const BLOCK_BYTES: u64 = HEADER_BYTES as u64;

/// The pieces of `pairs` (offset, length), which must lie in order within `real_size` and add up to `stored`.
/// Empty pieces, with which GNU tar marks the end, are dropped. Only the last may end within a block: GNU tar fills up
/// every piece to whole blocks, others do not.
pub(crate) fn pieces(pairs: &[(u64, u64)], real_size: u64, stored: u64) -> Result<Vec<Piece>, TarFault> {
    let mut pieces = Vec::new();
    let (mut end, mut sum) = (0_u64, 0_u64);
    for &(offset_bytes, len_bytes) in pairs {
        if offset_bytes < end {
            return Err(TarFault::Sparse);
        }
        end = offset_bytes.checked_add(len_bytes).ok_or(TarFault::Sparse)?;
        sum += len_bytes;
        if len_bytes > 0 {
            if pieces.last().is_some_and(|piece: &Piece| !piece.len_bytes.is_multiple_of(BLOCK_BYTES)) {
                return Err(TarFault::SparsePiece);
            }
            pieces.push(Piece { offset_bytes, len_bytes });
        }
    }
    if end > real_size || sum != stored {
        return Err(TarFault::Sparse);
    }
    Ok(pieces)
}

/// Pairs out of a flat list of offsets and lengths.
pub(crate) fn pairs(flat: &[u64]) -> Result<Vec<(u64, u64)>, TarFault> {
    if !flat.len().is_multiple_of(2) {
        return Err(TarFault::Sparse);
    }
    Ok(flat.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_overlaps_or_overflows_is_refused() {
        assert!(pieces(&[(0, 10), (5, 10)], 100, 20).is_err());
        assert!(pieces(&[(u64::MAX, 10)], u64::MAX, 10).is_err());
        assert!(pieces(&[(0, 10)], 5, 10).is_err());
        assert!(pieces(&[(0, 10)], 100, 9).is_err());
        assert_eq!(pieces(&[(0, 10), (50, 10)], 100, 20), Err(TarFault::SparsePiece));
        assert!(pieces(&[(0, 512), (600, 10), (610, 0)], 1000, 522).is_ok());
        assert_eq!(pieces(&[(5, 10), (100, 0)], 100, 10), Ok(vec![Piece { offset_bytes: 5, len_bytes: 10 }]));
    }
}
