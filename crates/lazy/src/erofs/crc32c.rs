//! CRC-32C (Castagnoli), bit by bit: single blocks are all that is ever summed.

/// As the kernel's `crc32c(~0, data)`: seeded with ones, without the final inversion.
pub(crate) fn crc32c(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_polynomial_comes_out() {
        // RFC 3720, appendix B.4 gives the inverted form for 32 zero bytes; the check value is that of "123456789".
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(!crc32c(&[0; 32]), 0x8a91_36aa);
    }
}
