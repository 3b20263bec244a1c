//! A layer's tree against its record.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use xxhash_rust::xxh3::Xxh3;

use crate::layer::file;
use crate::record::{self, Inode, Step};
use crate::tree;
use crate::unpack::xattr_checksum;
use gaufre_lazy::layer::{OPAQUE, Piece, is_image_xattr};

/// Files are read in pieces of this size.
const BUFFER_BYTES: usize = 256 << 10;

/// What a record says should be there.
type Expected = BTreeMap<Vec<u8>, Step>;

/// The differences between a layer's tree and its record, a sentence each, at most `limit` of them.
///
/// # Errors
/// The record or the tree cannot be read; a damaged record is `InvalidData`.
pub(super) fn differences(layer: &OwnedFd, limit: usize) -> io::Result<Vec<String>> {
    let mut walk =
        Walk { expected: expected(layer)?, found: Vec::new(), limit, buffer: vec![0; BUFFER_BYTES] };
    let root = tree::open_dir(layer, file::TREE)?;
    let stat = rustix::fs::fstat(&root)?;
    walk.compare_dir(&root, b"", &stat)?;
    for path in walk.expected.into_keys() {
        if walk.found.len() >= limit {
            break;
        }
        walk.found.push(format!("{:?} is missing", String::from_utf8_lossy(&path)));
    }
    Ok(walk.found)
}

/// Plays the record's steps: later ones replace earlier ones.
fn expected(layer: &OwnedFd) -> io::Result<Expected> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let record = File::from(rustix::fs::openat(layer, file::RECORD, flags, Mode::empty())?);
    let mut expected = Expected::new();
    record::read(io::BufReader::with_capacity(1 << 16, record), |path, step| match step {
        Step::Removed => {
            let below = [path.as_slice(), b"/"].concat();
            let held: Vec<_> = expected
                .range(below.clone()..)
                .map(|(held, _)| held)
                .take_while(|held| held.starts_with(&below))
                .cloned()
                .collect();
            for held in held.into_iter().chain([path]) {
                expected.remove(&held);
            }
        }
        // The other name may be replaced later: what it stood for then stays under this one.
        Step::HardLink { target } => {
            if let Some(same) = expected.get(&target).cloned() {
                expected.insert(path, same);
            }
        }
        step => {
            expected.insert(path, step);
        }
    })?;
    Ok(expected)
}

struct Walk {
    expected: Expected,
    found: Vec<String>,
    limit: usize,
    buffer: Vec<u8>,
}

impl Walk {
    fn compare_dir(&mut self, dir: &OwnedFd, path: &[u8], stat: &Stat) -> io::Result<()> {
        match self.expected.remove(path) {
            Some(Step::Directory { inode, opaque }) => {
                let fault = inode_fault(stat, &inode).or(xattr_fault(dir, &inode)?);
                self.note(path, fault);
                let is_opaque = rustix::fs::fgetxattr(dir, OPAQUE, &mut [0_u8; 1][..]) == Ok(1);
                self.note(
                    path,
                    (is_opaque != opaque).then_some("hides other files of lower layers than recorded"),
                );
            }
            Some(_) => self.note(path, Some("has become a directory")),
            None => self.note(path, Some("is not in the record")),
        }
        for (name, _) in tree::entries(dir)? {
            if self.found.len() >= self.limit {
                return Ok(());
            }
            let inner = if path.is_empty() {
                name.to_bytes().to_vec()
            } else {
                [path, b"/", name.to_bytes()].concat()
            };
            let stat = rustix::fs::statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                self.compare_dir(&tree::open_dir(dir, &*name)?, &inner, &stat)?;
            } else {
                let expected = self.expected.remove(&inner);
                let fault = self.file_fault(dir, name.to_bytes(), &stat, expected)?;
                self.note(&inner, fault);
            }
        }
        Ok(())
    }

    fn file_fault(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        expected: Option<Step>,
    ) -> io::Result<Option<&'static str>> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let device = |major: u32, minor: u32| stat.st_rdev == rustix::fs::makedev(major, minor);
        let (inode, fits) = match expected {
            None => return Ok(Some("is not in the record")),
            Some(Step::Whiteout) => {
                let whiteout = kind.is_char_device() && stat.st_rdev == 0;
                return Ok((!whiteout).then_some("is no whiteout any more"));
            }
            Some(Step::Regular { inode, size_bytes, checksum, pieces }) => {
                if !kind.is_file() || u64::try_from(stat.st_size) != Ok(size_bytes) {
                    return Ok(Some("has another kind or size"));
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
                let whole = [Piece { offset_bytes: 0, len_bytes: size_bytes }];
                let found = self.checksum(&file, pieces.as_deref().unwrap_or(&whole))?;
                (inode, found == checksum)
            }
            Some(Step::Symlink { inode, target }) => {
                let fits = kind.is_symlink()
                    && rustix::fs::readlinkat(dir, name, Vec::new())?.to_bytes() == target.as_slice();
                (inode, fits)
            }
            Some(Step::Character { inode, major, minor }) => {
                (inode, kind.is_char_device() && device(major, minor))
            }
            Some(Step::Block { inode, major, minor }) => {
                (inode, kind.is_block_device() && device(major, minor))
            }
            Some(Step::Fifo { inode }) => (inode, kind.is_fifo()),
            Some(Step::Directory { .. }) => return Ok(Some("is no directory any more")),
            // Resolved when the record was read.
            Some(Step::HardLink { .. } | Step::Removed) => return Ok(None),
        };
        if !fits {
            return Ok(Some("has other content"));
        }
        if let Some(fault) = inode_fault(stat, &inode) {
            return Ok(Some(fault));
        }
        let path = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat();
        let mut list = vec![0_u8; 1 << 16];
        let len = rustix::fs::llistxattr(path.as_slice(), &mut list[..]).unwrap_or(0);
        let get = |key: &[u8], value: &mut [u8]| rustix::fs::lgetxattr(path.as_slice(), key, value);
        Ok((xattrs(&list[..len], get)? != inode.xattrs).then_some(XATTRS))
    }

    fn checksum(&mut self, file: &OwnedFd, pieces: &[Piece]) -> io::Result<u64> {
        let mut hash = Xxh3::new();
        for piece in pieces {
            let (mut at, end) = (piece.offset_bytes, piece.offset_bytes + piece.len_bytes);
            while at < end {
                let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(self.buffer.len());
                let len = rustix::io::pread(file, &mut self.buffer[..most], at)?;
                if len == 0 {
                    break;
                }
                hash.update(&self.buffer[..len]);
                at += len as u64;
            }
        }
        Ok(hash.digest())
    }

    fn note(&mut self, path: &[u8], fault: Option<&str>) {
        if let Some(fault) = fault
            && self.found.len() < self.limit
        {
            let path = std::ffi::OsStr::from_bytes(if path.is_empty() { b"/" } else { path });
            self.found.push(format!("{path:?} {fault}"));
        }
    }
}

const XATTRS: &str = "has other extended attributes";

fn inode_fault(stat: &Stat, inode: &Inode) -> Option<&'static str> {
    if stat.st_mode & 0o7777 != inode.mode {
        return Some("has another mode");
    }
    if (stat.st_uid, stat.st_gid) != (inode.uid, inode.gid) {
        return Some("has another owner");
    }
    // File systems differ in the precision and range of times: whole seconds within 1901 to 2038 are the same on all.
    let comparable = i32::try_from(inode.mtime.seconds).is_ok();
    (comparable && stat.st_mtime != inode.mtime.seconds).then_some("was modified")
}

fn xattr_fault(dir: impl AsFd, inode: &Inode) -> io::Result<Option<&'static str>> {
    let mut list = vec![0_u8; 1 << 16];
    let len = rustix::fs::flistxattr(&dir, &mut list[..]).unwrap_or(0);
    let get = |key: &[u8], value: &mut [u8]| rustix::fs::fgetxattr(&dir, key, value);
    Ok((xattrs(&list[..len], get)? != inode.xattrs).then_some(XATTRS))
}

/// The checksum of those attributes that an image can have set.
fn xattrs(
    list: &[u8],
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Option<u64>> {
    let mut found = Vec::new();
    for name in list.split(|&byte| byte == 0).filter(|name| is_image_xattr(name)) {
        let mut value = vec![0_u8; 1 << 16];
        let len = get(name, &mut value)?;
        value.truncate(len);
        found.push((name.to_vec(), value));
    }
    Ok(xattr_checksum(&found))
}
