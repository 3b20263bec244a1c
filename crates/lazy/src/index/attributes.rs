//! What setting an entry's extended attributes would make of them: a file system that is unpacked into takes some,
//! refuses some, and drops what a file of that kind cannot have (xattr(7), `xattr_permission` in fs/xattr.c).

use super::acl::{self, Verdict};
use super::xattrs::Table;
use crate::erofs::xattr;
use crate::layer::{LayerError, Xattr, allowed};

/// As far as attributes differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Regular,
    Directory,
    Symlink,
    Special,
}

/// The longest name that the kernel takes (`XATTR_NAME_MAX`).
const MAX_NAME_BYTES: usize = 255;
/// The longest value that EROFS can hold; the kernel takes one byte more (`XATTR_SIZE_MAX`), ext4 far less.
const MAX_VALUE_BYTES: usize = u16::MAX as usize;

/// The numbers in `table` of those that are kept, and the permission bits, which access control lists change.
pub(super) fn settle(
    path: &[u8],
    family: Family,
    mode: u16,
    xattrs: Vec<Xattr>,
    table: &mut Table,
) -> Result<(u16, Box<[u32]>), LayerError> {
    let mut mode = mode;
    let mut numbers = Vec::new();
    let mut body_bytes = 0;
    for attribute in allowed(xattrs) {
        if attribute.0.len() > MAX_NAME_BYTES || attribute.1.len() > MAX_VALUE_BYTES {
            return Err(LayerError::entry(path, "an extended attribute's name or value is too long"));
        }
        if !keep(&attribute, family, &mut mode).map_err(|why| LayerError::entry(path, why))? {
            continue;
        }
        let number = table.number(&attribute);
        let number = number.ok_or_else(|| LayerError::entry(path, "an extended attribute has no name"))?;
        body_bytes += xattr::padded_bytes(table.entry(number));
        numbers.push(number);
    }
    // Room for the marks of directories.
    if xattr::body_bytes(0, body_bytes) > xattr::MAX_BODY_BYTES - 64 {
        let limit = xattr::MAX_BODY_BYTES;
        return Err(LayerError::Limit { what: "bytes of extended attributes of one file", limit });
    }
    Ok((mode, numbers.into()))
}

const MALFORMED: &str = "its access control list is malformed";

fn keep((name, value): &Xattr, family: Family, mode: &mut u16) -> Result<bool, &'static str> {
    match name.as_slice() {
        b"security.capability" if is_capability(value) => Ok(true),
        b"security.capability" => Err("its file capabilities are malformed"),
        b"system.posix_acl_access" => match acl::read(value) {
            Verdict::Malformed => Err(MALFORMED),
            Verdict::Dropped => Ok(false),
            _ if family == Family::Symlink => Ok(false),
            Verdict::Invalid => Err(MALFORMED),
            Verdict::Mode(bits) => {
                *mode = (*mode & !0o777) | bits;
                Ok(false)
            }
            Verdict::Kept(bits) => {
                *mode = (*mode & !0o777) | bits;
                Ok(true)
            }
        },
        b"system.posix_acl_default" => match acl::read(value) {
            Verdict::Malformed => Err(MALFORMED),
            Verdict::Dropped => Ok(false),
            _ if family == Family::Symlink => Ok(false),
            _ if family != Family::Directory => {
                Err("it has a default access control list but is no directory")
            }
            Verdict::Invalid => Err(MALFORMED),
            _ => Ok(true),
        },
        name if name.starts_with(b"user.") => Ok(matches!(family, Family::Regular | Family::Directory)),
        _ => Ok(false),
    }
}

/// A `struct vfs_cap_data` of revision 2, or 3 with the owner of its namespace (capabilities(7); `cap_convert_nscap` in
/// security/commoncap.c).
fn is_capability(value: &[u8]) -> bool {
    const EFFECTIVE: u32 = 1;
    let Some(magic) = value.first_chunk::<4>() else { return false };
    match u32::from_le_bytes(*magic) & !EFFECTIVE {
        0x0200_0000 => value.len() == 20,
        0x0300_0000 => value.len() == 24 && value[20..] != [0xff; 4],
        _ => false,
    }
}
