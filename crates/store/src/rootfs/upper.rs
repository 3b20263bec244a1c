//! The directories that changes go to.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::overlay::Upper;
use super::{MountError, attributes};

/// Opens `upper` and `work` in `dir`. A new `upper` is given the root's mode and owner, because overlayfs shows
/// those of the upper root; one that exists keeps what the sandbox made of it.
pub(super) fn prepare_in(dir: &Path, root: &Stat) -> io::Result<Upper> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let sandbox = rustix::fs::open(dir, flags, Mode::empty())?;
    let (mode, uid, gid) = attributes(root);
    make_dir(&sandbox, OsStr::new("upper"), mode, uid, gid)?;
    make_dir(&sandbox, OsStr::new("work"), 0o700, 0, 0)?;
    let open = |name: &str| -> io::Result<OwnedFd> {
        Ok(rustix::fs::openat(&sandbox, name, flags | OFlags::NOFOLLOW, Mode::empty())?)
    };
    Ok(Upper { upper: open("upper")?, work: open("work")?, dir: dir.to_owned() })
}

pub(super) fn prepare(dir: &Path, root: &Stat) -> Result<Upper, MountError> {
    prepare_in(dir, root).map_err(|error| super::prepare(dir, error))
}

/// Makes a directory with these attributes in one step; one that exists is left as it is.
pub(super) fn make_dir(at: impl AsFd, name: &OsStr, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
    match rustix::fs::statat(&at, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    // Under another name first: a process killed here must not leave one with the wrong attributes.
    let draft = format!(".{}-{}", name.to_string_lossy(), std::process::id());
    match rustix::fs::mkdirat(&at, draft.as_str(), Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(&at, draft.as_str(), flags, Mode::empty())?;
    rustix::fs::fchown(&dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
    match rustix::fs::renameat_with(&at, draft.as_str(), &at, name, rustix::fs::RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Ok(rustix::fs::unlinkat(&at, draft.as_str(), rustix::fs::AtFlags::REMOVEDIR)?),
        Err(error) => Err(error.into()),
    }
}
