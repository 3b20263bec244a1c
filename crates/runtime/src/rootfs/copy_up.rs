//! `tmpcopyup`: a new tmpfs begins with what its directory in the root holds.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fchown,
    fstat, futimens, mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
};

use crate::step::{Step, StepError};

/// Deeper trees are refused: whoever made the image chose the depth, and each level takes stack.
const DEPTH_MAX: u32 = 200;

/// Copies all of `directory` into the detached mount `tmpfs`: by descriptors, following no link. The tmpfs's own root
/// keeps the mode that its options say.
pub(super) fn copy_up(directory: &OwnedFd, tmpfs: &OwnedFd, destination: &Path) -> Result<(), StepError> {
    let what = || format!("could not copy {} of the container into its tmpfs", destination.display());
    let open = |fd: &OwnedFd| openat(fd, c".", DIRECTORY, Mode::empty());
    let (from, to) = (open(directory).step(what)?, open(tmpfs).step(what)?);
    copy_entries(&from, &to, 0).step(what)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn copy_entries(from: &OwnedFd, to: &OwnedFd, depth: u32) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its directories are nested too deeply"));
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let source = openat(from, name, DIRECTORY, Mode::empty())?;
                mkdirat(to, name, Mode::RWXU)?;
                let target = openat(to, name, DIRECTORY, Mode::empty())?;
                copy_entries(&source, &target, depth + 1)?;
                take_after(target.as_fd(), &stat)?;
            }
            FileType::RegularFile => copy_file(from, to, name)?,
            FileType::Symlink => {
                symlinkat(&*readlinkat(from, name, Vec::new())?, to, name)?;
                own_link(to, name, &stat)?;
            }
            kind => {
                mknodat(to, name, kind, mode(&stat), stat.st_rdev)?;
                own_link(to, name, &stat)?;
            }
        }
    }
    Ok(())
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<()> {
    // Never waits, should it have become something else than a file.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut source = File::from(openat(from, name, flags, Mode::empty())?);
    let stat = fstat(&source)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it changed while it was copied"));
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut target = File::from(openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
    io::copy(&mut source, &mut target)?;
    take_after(target.as_fd(), &stat)
}

/// The owner first, because chown clears set-user-ID.
fn take_after(copy: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = owner(stat);
    fchown(copy, uid, gid)?;
    fchmod(copy, mode(stat))?;
    let time = |tv_sec: i64, nsec: u64| Timespec { tv_sec, tv_nsec: i64::try_from(nsec).unwrap_or(0) };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    Ok(futimens(copy, &times)?)
}

fn own_link(dir: &OwnedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = owner(stat);
    Ok(chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}
