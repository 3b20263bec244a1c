//! Extended attributes of an image's files: how they are set, and a checksum over them.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use xxhash_rust::xxh3::Xxh3;

use gaufre_lazy::layer::{LayerError, Xattr};

/// Sets `xattrs` on `name` in `dir`, which is not followed if it is a link; returns those that the file system
/// took. Attributes of users are dropped where it has none, as other engines do; a capability is not.
pub(crate) fn set_at(
    dir: impl AsFd,
    name: &[u8],
    path: &[u8],
    xattrs: Vec<Xattr>,
) -> Result<Vec<Xattr>, LayerError> {
    if xattrs.is_empty() {
        return Ok(xattrs);
    }
    // There is no lsetxattrat before Linux 6.13: the descriptor's own directory stands for it.
    let file = [format!("/proc/self/fd/{}/", dir.as_fd().as_raw_fd()).as_bytes(), name].concat();
    keep(xattrs, path, |key, value| rustix::fs::lsetxattr(file.as_slice(), key, value, XattrFlags::empty()))
}

/// Sets `xattrs` on an open file; returns those that the file system took.
pub(crate) fn set(fd: impl AsFd, path: &[u8], xattrs: Vec<Xattr>) -> Result<Vec<Xattr>, LayerError> {
    keep(xattrs, path, |key, value| rustix::fs::fsetxattr(&fd, key, value, XattrFlags::empty()))
}

fn keep(
    xattrs: Vec<Xattr>,
    path: &[u8],
    set: impl Fn(&[u8], &[u8]) -> rustix::io::Result<()>,
) -> Result<Vec<Xattr>, LayerError> {
    let mut kept = Vec::with_capacity(xattrs.len());
    for (key, value) in xattrs {
        match set(&key, &value) {
            Ok(()) => kept.push((key, value)),
            Err(Errno::NOTSUP | Errno::PERM) if key != b"security.capability" => {
                tracing::debug!(
                    path = %String::from_utf8_lossy(path),
                    name = %String::from_utf8_lossy(&key),
                    "an extended attribute is dropped: the file system does not take it"
                );
            }
            Err(error) => return Err(LayerError::io("set an extended attribute of", path, error)),
        }
    }
    Ok(kept)
}

/// A checksum over names and values, whatever their order; `None` without any.
pub(crate) fn checksum(xattrs: &[Xattr]) -> Option<u64> {
    if xattrs.is_empty() {
        return None;
    }
    let mut sorted: Vec<&Xattr> = xattrs.iter().collect();
    sorted.sort();
    let mut hash = Xxh3::new();
    for (name, value) in sorted {
        for part in [name, value] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Some(hash.digest())
}
