//! POSIX access control lists in extended attributes, checked as the kernel checks them when they are set
//! (`posix_acl_from_xattr`, `posix_acl_valid`, `posix_acl_equiv_mode` in fs/posix_acl.c; acl(5)).
//!
//! EROFS reads what lies on the disk without having checked it, and would fail every access to a file with a bad one.

/// What setting a list does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel cannot read it, whatever it is set on.
    Malformed,
    /// The kernel refuses it for files that can have one at all.
    Invalid,
    /// There is nothing to keep, or nothing that can be understood.
    Dropped,
    /// It says what these permission bits say already.
    Mode(u16),
    /// It says more than these permission bits.
    Kept(u16),
}

const VERSION: u32 = 2;

/// Tags of entries (`ACL_*` in include/linux/posix_acl.h).
mod tag {
    pub(super) const USER_OBJ: u16 = 0x01;
    pub(super) const USER: u16 = 0x02;
    pub(super) const GROUP_OBJ: u16 = 0x04;
    pub(super) const GROUP: u16 = 0x08;
    pub(super) const MASK: u16 = 0x10;
    pub(super) const OTHER: u16 = 0x20;
}

/// Reads the value of `system.posix_acl_*`.
pub(super) fn read(value: &[u8]) -> Verdict {
    if value.is_empty() {
        return Verdict::Dropped;
    }
    let Some((version, entries)) = value.split_first_chunk::<4>() else { return Verdict::Malformed };
    if u32::from_le_bytes(*version) != VERSION {
        return Verdict::Dropped;
    }
    if entries.is_empty() {
        return Verdict::Dropped;
    }
    let (entries, rest) = entries.as_chunks::<8>();
    if !rest.is_empty() {
        return Verdict::Malformed;
    }
    if entries.iter().all(is_known) { bits(entries).unwrap_or(Verdict::Invalid) } else { Verdict::Malformed }
}

/// A tag that there is, for someone whom there can be.
fn is_known(entry: &[u8; 8]) -> bool {
    match u16::from_le_bytes([entry[0], entry[1]]) {
        tag::USER | tag::GROUP => entry[4..] != [0xff; 4],
        tag::USER_OBJ | tag::GROUP_OBJ | tag::MASK | tag::OTHER => true,
        _ => false,
    }
}

/// Entries of tag, permissions and ID must be: the owner, users, the group, groups, a mask (needed with users and groups),
/// others.
fn bits(entries: &[[u8; 8]]) -> Option<Verdict> {
    let (mut bits, mut mask) = (0_u16, None);
    let (mut expected, mut needs_mask) = (tag::USER_OBJ, false);
    for entry in entries {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let permissions = u16::from_le_bytes([entry[2], entry[3]]);
        if permissions > 7 {
            return None;
        }
        expected = match (tag, expected) {
            (tag::USER_OBJ, tag::USER_OBJ) => {
                bits |= permissions << 6;
                tag::USER
            }
            (tag::USER, tag::USER) | (tag::GROUP, tag::GROUP) => {
                needs_mask = true;
                tag
            }
            (tag::GROUP_OBJ, tag::USER) => {
                bits |= permissions << 3;
                tag::GROUP
            }
            (tag::MASK, tag::GROUP) => {
                mask = Some(permissions);
                tag::OTHER
            }
            (tag::OTHER, tag::GROUP) if !needs_mask => {
                bits |= permissions;
                0
            }
            (tag::OTHER, tag::OTHER) => {
                bits |= permissions;
                0
            }
            _ => return None,
        };
    }
    match (expected, mask) {
        (0, Some(mask)) => Some(Verdict::Kept((bits & !0o070) | mask << 3)),
        (0, None) => Some(Verdict::Mode(bits)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    }

    #[test]
    fn lists_are_judged_as_the_kernel_judges_them() {
        let none = u32::MAX;
        let plain = [(1, 6, none), (4, 4, none), (32, 4, none)];
        assert_eq!(read(&list(&plain)), Verdict::Mode(0o644));
        let user = [(1, 6, none), (2, 7, 1000), (4, 4, none), (16, 5, none), (32, 0, none)];
        assert_eq!(read(&list(&user)), Verdict::Kept(0o650));
        let without_mask = [(1, 6, none), (2, 7, 1000), (4, 4, none), (32, 0, none)];
        let out_of_order = [(4, 4, none), (1, 6, none), (32, 0, none)];
        let nobody = [(1, 6, none), (2, 7, none), (4, 4, none), (16, 5, none), (32, 0, none)];
        let too_much = [(1, 8, none), (4, 4, none), (32, 0, none)];
        for bad in [&without_mask[..], &out_of_order, &too_much, &plain[..2]] {
            assert_eq!(read(&list(bad)), Verdict::Invalid, "{bad:?}");
        }
        assert_eq!(read(&list(&nobody)), Verdict::Malformed);
        assert_eq!(read(&list(&plain)[..19]), Verdict::Malformed);
        for nothing in [&[][..], &list(&[]), &[1, 0, 0, 0]] {
            assert_eq!(read(nothing), Verdict::Dropped);
        }
    }
}
