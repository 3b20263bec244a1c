//! The extended attributes of what is copied: capabilities, access control lists, and users' own (xattr(7)).

use gaufre_store::is_image_xattr;
use rustix::fs::{XattrFlags, fgetxattr, fgetxattr_query, flistxattr, flistxattr_query, fsetxattr};
use rustix::io::Errno;
use std::io;
use std::os::fd::BorrowedFd;

/// Gives `to` those extended attributes of `from` that an image may set. Where its file system has none, those of users
/// are dropped, as when an image is unpacked; a capability is not.
pub(super) fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let names = match flistxattr_query(from) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        len => read(len?, |names| flistxattr(from, names))?,
    };
    for name in names.split(|byte| *byte == 0).filter(|name| is_image_xattr(name)) {
        let value = match fgetxattr_query(from, name)? {
            0 => Vec::new(),
            len => read(len, |value| fgetxattr(from, name, value))?,
        };
        match fsetxattr(to, name, &value, XattrFlags::empty()) {
            Err(Errno::NOTSUP | Errno::PERM) if name != b"security.capability" => {}
            set => set?,
        }
    }
    Ok(())
}

/// The `len` bytes that `get` gives; there may be fewer by now. The kernel bounds both lists and values to 64 KiB.
fn read(len: usize, get: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let len = get(&mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}
