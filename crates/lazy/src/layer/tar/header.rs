//! One 512-byte header block (POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").

use super::TarFault;
use super::Time;

/// The unit of a tar archive.
pub(crate) const BLOCK_BYTES: usize = 512;

/// What an old GNU sparse header says: the pieces that it has room for, whether more follow, and the real size.
pub(crate) struct GnuSparse {
    pub(crate) pieces: Vec<(u64, u64)>,
    pub(crate) more: bool,
    pub(crate) size_bytes: u64,
}

/// A block taken as a header.
pub(crate) struct Header<'a>(&'a [u8; BLOCK_BYTES]);

impl<'a> Header<'a> {
    /// Checks the checksum: the sum of all bytes, its own field taken as spaces. Old archives summed signed bytes.
    pub(crate) fn parse(block: &'a [u8; BLOCK_BYTES]) -> Result<Self, TarFault> {
        let header = Self(block);
        let stated = header.number(148, 8, "checksum").map_err(|_| TarFault::Checksum)?;
        let outside = || block[..148].iter().chain(&block[156..]);
        let unsigned: i64 = outside().map(|&byte| i64::from(byte)).sum::<i64>() + 8 * i64::from(b' ');
        let signed: i64 =
            outside().map(|&byte| i64::from(byte.cast_signed())).sum::<i64>() + 8 * i64::from(b' ');
        if stated != unsigned && stated != signed {
            return Err(TarFault::Checksum);
        }
        Ok(header)
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The name, with the prefix that POSIX (not GNU) headers carry.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = text(&self.0[345..500]);
        if &self.0[257..263] == b"ustar\0" && !prefix.is_empty() {
            [prefix, b"/", name].concat()
        } else {
            name.to_vec()
        }
    }

    pub(crate) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(crate) fn mode(&self) -> Result<u32, TarFault> {
        // The file type bits that some writers add are not used: the type has a field of its own.
        Ok(self.unsigned(100, 8, "mode")?.try_into().unwrap_or(u32::MAX) & 0o7777)
    }

    pub(crate) fn uid(&self) -> Result<u64, TarFault> {
        self.unsigned(108, 8, "user")
    }

    pub(crate) fn gid(&self) -> Result<u64, TarFault> {
        self.unsigned(116, 8, "group")
    }

    pub(crate) fn size(&self) -> Result<u64, TarFault> {
        self.unsigned(124, 12, "size")
    }

    pub(crate) fn mtime(&self) -> Result<Time, TarFault> {
        Ok(Time { seconds: self.number(136, 12, "modification time")?, nanoseconds: 0 })
    }

    pub(crate) fn device(&self) -> Result<(u32, u32), TarFault> {
        const WHAT: &str = "device number";
        let number = |at, bits: u32| match u32::try_from(self.unsigned(at, 8, WHAT)?) {
            Ok(number) if number >> bits == 0 => Ok(number),
            _ => Err(TarFault::Range(WHAT)),
        };
        // More bits than these the kernel has not, and mknod(2) would drop them.
        Ok((number(329, 12)?, number(337, 20)?))
    }

    pub(crate) fn gnu_sparse(&self) -> Result<GnuSparse, TarFault> {
        Ok(GnuSparse {
            pieces: sparse_pieces(self.0, 386, 4)?,
            more: self.0[482] != 0,
            size_bytes: self.unsigned(483, 12, "real size")?,
        })
    }

    fn unsigned(&self, at: usize, len: usize, what: &'static str) -> Result<u64, TarFault> {
        u64::try_from(self.number(at, len, what)?).map_err(|_| TarFault::Range(what))
    }

    fn number(&self, at: usize, len: usize, what: &'static str) -> Result<i64, TarFault> {
        number(&self.0[at..at + len], what)
    }
}

/// The pieces in `block` from `at`, of 24 bytes each, up to the first empty slot.
pub(crate) fn sparse_pieces(
    block: &[u8; BLOCK_BYTES],
    at: usize,
    slots: usize,
) -> Result<Vec<(u64, u64)>, TarFault> {
    let mut pieces = Vec::new();
    for slot in block[at..at + 24 * slots].chunks_exact(24) {
        if slot[12] == 0 {
            break;
        }
        let field = |bytes| u64::try_from(number(bytes, "sparse map")?).map_err(|_| TarFault::Sparse);
        pieces.push((field(&slot[..12])?, field(&slot[12..])?));
    }
    Ok(pieces)
}

/// Bytes up to the first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    &field[..field.iter().position(|&byte| byte == 0).unwrap_or(field.len())]
}

/// Octal digits, or with the top bit of the first byte set a base-256 number in two's complement (GNU, star).
fn number(field: &[u8], what: &'static str) -> Result<i64, TarFault> {
    match field.first() {
        Some(0x80) => base256(0, &field[1..], what),
        Some(0xff) => base256(-1, &field[1..], what),
        Some(first) if first & 0x80 != 0 => Err(TarFault::Range(what)),
        _ => octal(field, what),
    }
}

fn base256(sign: i64, digits: &[u8], what: &'static str) -> Result<i64, TarFault> {
    digits.iter().try_fold(sign, |value, &byte| {
        value.checked_mul(256).map(|value| value | i64::from(byte)).ok_or(TarFault::Range(what))
    })
}

fn octal(field: &[u8], what: &'static str) -> Result<i64, TarFault> {
    let start = field.iter().position(|&byte| byte != b' ').unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(|&byte| byte == b' ' || byte == 0).unwrap_or(digits.len());
    digits[..end].iter().try_fold(0_i64, |value, &byte| match byte {
        b'0'..=b'7' => {
            value.checked_mul(8).map(|value| value + i64::from(byte - b'0')).ok_or(TarFault::Range(what))
        }
        _ => Err(TarFault::Number(what)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0", "mode"), Ok(0o644));
        assert_eq!(number(b"   644 \0", "mode"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0", "mode"), Ok(0));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 1, 0, 0], "user"), Ok(65536));
        assert_eq!(number(&[0xff; 12], "mtime"), Ok(-1));
        assert_eq!(number(b"12x4567\0", "size"), Err(TarFault::Number("size")));
        assert_eq!(
            number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "size"),
            Err(TarFault::Range("size"))
        );
    }
}
