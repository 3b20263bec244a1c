//! Extended attributes: behind the inode, or shared by several inodes.

use super::Put;

/// Length of `struct erofs_xattr_ibody_header`.
const HEADER_BYTES: u64 = 12;
/// Entries and references to shared ones count in these.
pub(crate) const UNIT_BYTES: u64 = 4;
/// The most that `i_xattr_icount` can count.
pub(crate) const MAX_BODY_BYTES: u64 = HEADER_BYTES + UNIT_BYTES * (u16::MAX as u64 - 1);
/// `EROFS_MAX_SHARED_XATTRS`: references that one inode can have.
pub(crate) const MAX_SHARED: usize = 128;

/// Prefixes that have a number of their own (`EROFS_XATTR_INDEX_*`), and whether more of the name must follow.
const PREFIXES: [(&[u8], u8, bool); 5] = [
    (b"user.", 1, true),
    (b"system.posix_acl_access", 2, false),
    (b"system.posix_acl_default", 3, false),
    (b"trusted.", 4, true),
    (b"security.", 6, true),
];

/// `struct erofs_xattr_entry` with name and value, not padded. `None` if the format cannot hold it.
pub(crate) fn entry(name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let (suffix, index) = PREFIXES.iter().find_map(|&(prefix, index, more)| {
        name.strip_prefix(prefix).filter(|suffix| suffix.is_empty() != more).map(|suffix| (suffix, index))
    })?;
    let mut entry = vec![u8::try_from(suffix.len()).ok()?, index];
    entry.put_u16(u16::try_from(value.len()).ok()?);
    entry.extend(suffix);
    entry.extend(value);
    Some(entry)
}

/// Length with the padding that the next entry needs.
pub(crate) fn padded_bytes(entry: &[u8]) -> u64 {
    (entry.len() as u64).next_multiple_of(UNIT_BYTES)
}

/// Length of what stands behind an inode that has `shared` references and own entries of `own_bytes` together.
pub(crate) fn body_bytes(shared: u64, own_bytes: u64) -> u64 {
    if shared == 0 && own_bytes == 0 { 0 } else { HEADER_BYTES + UNIT_BYTES * shared + own_bytes }
}

/// `i_xattr_icount` for that length.
pub(crate) fn count(body_bytes: u64) -> u16 {
    let units = body_bytes.checked_sub(HEADER_BYTES).map_or(0, |rest| rest / UNIT_BYTES + 1);
    u16::try_from(units).unwrap_or(u16::MAX)
}

/// Appends what stands behind an inode: `struct erofs_xattr_ibody_header`, references and own entries.
pub(crate) fn encode_body<'a>(shared: &[u32], own: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.put_u32(0); // h_name_filter
    out.push(u8::try_from(shared.len()).unwrap_or(u8::MAX));
    out.put_zeros(7);
    for &reference in shared {
        out.put_u32(reference);
    }
    for entry in own {
        encode_entry(entry, out);
    }
}

/// Appends one entry and its padding.
pub(crate) fn encode_entry(entry: &[u8], out: &mut Vec<u8>) {
    out.extend(entry);
    let padding = padded_bytes(entry) - entry.len() as u64;
    out.put_zeros(usize::try_from(padding).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_where_the_kernel_splits_them() {
        assert_eq!(entry(b"user.a", b"xy").unwrap(), [1, 1, 2, 0, b'a', b'x', b'y']);
        assert_eq!(entry(b"system.posix_acl_access", b"").unwrap(), [0, 2, 0, 0]);
        for bad in [&b"user."[..], b"system.posix_acl_accessx", b"other.x", b""] {
            assert_eq!(entry(bad, b""), None);
        }
        assert_eq!(entry(b"user.a", &[0; 65536]), None);
    }

    #[test]
    fn the_count_tells_the_length() {
        assert_eq!((count(0), count(body_bytes(1, 0)), count(body_bytes(0, 8))), (0, 2, 3));
        assert_eq!(count(MAX_BODY_BYTES), u16::MAX);
    }
}
