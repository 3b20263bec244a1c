//! Removal of a directory tree by descriptors: no link is followed, no mount is entered, and the depth, which a
//! sandbox chooses for what it writes, costs neither descriptors nor stack.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, IFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// How many directories are held open at once; what lies deeper is first moved to the top.
const MAX_OPEN: usize = 48;

/// Removes what is at `path`, a directory with all below it or anything else, whatever a sandbox made of it: however
/// deep it is, and files that are immutable. No link is followed below the parent, no mount is entered. A path that is
/// not there is no error.
///
/// # Errors
/// The first thing that could not be removed; the rest has been removed as far as possible.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => remove(parent, &CString::new(name.as_bytes())?),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens the directory `name` in `dir` for reading. Neither a link nor another mount is accepted.
pub(crate) fn open_dir(dir: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat2(
        dir,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
        ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_XDEV
            | ResolveFlags::NO_MAGICLINKS,
    )
}

/// The names in a directory, without `.` and `..`, with their kinds where the file system tells.
pub(crate) fn entries(dir: impl AsFd) -> rustix::io::Result<Vec<(CString, FileType)>> {
    let mut found = Vec::new();
    // Dir::read_from opens "." anew, so the position of `dir` itself does not matter.
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            found.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

/// The names in a directory that are UTF-8; the store makes no others at its own levels.
pub(crate) fn names(dir: impl AsFd) -> rustix::io::Result<Vec<String>> {
    Ok(entries(dir)?.into_iter().filter_map(|(name, _)| name.into_string().ok()).collect())
}

/// Removes `name` in `dir` with all that is below it. A name that is not there is no error.
///
/// # Errors
/// The first thing that could not be removed; the rest has been removed as far as possible.
pub(crate) fn remove(dir: impl AsFd, name: &CStr) -> io::Result<()> {
    let dir = dir.as_fd();
    if unlink(dir, name)? {
        return Ok(());
    }
    let root = match open_dir(dir, name) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::XDEV) => return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is a mount point")),
        Err(error) => return Err(error.into()),
    };
    let mut failed = None;
    let mut moved = 0_u64;
    // Each pass empties the root; what was too deep comes back as a new entry of it.
    loop {
        let before = moved;
        empty(&root, &root, 0, &mut moved, &mut failed);
        if moved == before || failed.is_some() {
            break;
        }
    }
    match rmdir(dir, name) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(failed.unwrap_or_else(|| error.into())),
    }
}

fn empty(root: &OwnedFd, dir: &OwnedFd, depth: usize, moved: &mut u64, failed: &mut Option<io::Error>) {
    let found = match entries(dir) {
        Ok(found) => found,
        Err(error) => return keep_first(failed, error.into()),
    };
    for (name, _) in found {
        if let Err(error) = remove_one(root, dir, &name, depth, moved, failed) {
            keep_first(failed, error);
        }
    }
}

fn remove_one(
    root: &OwnedFd,
    dir: &OwnedFd,
    name: &CStr,
    depth: usize,
    moved: &mut u64,
    failed: &mut Option<io::Error>,
) -> io::Result<()> {
    if unlink(dir.as_fd(), name)? {
        return Ok(());
    }
    if depth >= MAX_OPEN {
        return move_to_top(root, dir, name, moved);
    }
    let below = match open_dir(dir, name) {
        Ok(below) => below,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::XDEV) => return Err(io::Error::new(io::ErrorKind::ResourceBusy, "a mount lies within")),
        Err(error) => return Err(error.into()),
    };
    empty(root, &below, depth + 1, moved, failed);
    match rmdir(dir.as_fd(), name) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // What was moved away leaves the directory empty; what failed has been noted.
        Err(Errno::NOTEMPTY) if failed.is_some() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn move_to_top(root: &OwnedFd, dir: &OwnedFd, name: &CStr, moved: &mut u64) -> io::Result<()> {
    loop {
        let to = format!(".deep-{moved}");
        *moved += 1;
        match rustix::fs::renameat_with(dir, name, root, to.as_str(), rustix::fs::RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            other => return Ok(other?),
        }
    }
}

/// Unlinks `name` unless it is a directory; whether it is gone.
fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(Errno::PERM) => {
            clear_immutable(dir, name);
            match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(true),
                Err(Errno::ISDIR) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn rmdir(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::PERM) => {
            clear_immutable(dir, name);
            rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
        }
        other => other,
    }
}

/// A privileged sandbox may have set `chattr +i` or `+a` on its files, or on the directory that holds them.
fn clear_immutable(dir: BorrowedFd<'_>, name: &CStr) {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    // Only regular files and directories carry the flags; opening a device could act on it.
    let plain = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
        matches!(FileType::from_raw_mode(stat.st_mode), FileType::RegularFile | FileType::Directory)
    });
    let file = if plain { rustix::fs::openat(dir, name, flags, Mode::empty()).ok() } else { None };
    for fd in file.iter().map(AsFd::as_fd).chain([dir]) {
        if let Ok(set) = rustix::fs::ioctl_getflags(fd) {
            let _ = rustix::fs::ioctl_setflags(fd, set - IFlags::IMMUTABLE - IFlags::APPEND);
        }
    }
}

fn keep_first(failed: &mut Option<io::Error>, error: io::Error) {
    failed.get_or_insert(error);
}
