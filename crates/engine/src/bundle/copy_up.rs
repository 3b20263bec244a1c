//! Filling a fresh volume with what the image has at its destination, as docker and podman do.

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Timespec,
    Timestamps, Uid, chmodat, chownat, fchmod, fchown, flock, fstat, futimens, mkdirat, mknodat, open,
    openat, openat2, readlinkat, renameat_with, statat, symlinkat,
};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Copies the content of `directory` of the image into the volume at `data`, unless there is something in it or the
/// image has no such directory. Ownership, modes and times go along; a device is refused by mknod(2)'s own error.
pub(super) fn copy_up(rootfs: BorrowedFd<'_>, directory: &Path, data: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = directory.strip_prefix("/").unwrap_or(directory);
    let from = match openat2(
        rootfs,
        inside,
        flags,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    ) {
        Ok(from) => from,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let to = open(data, flags, Mode::empty())?;
    // A sandbox that has the volume already could swap what is being made under our hands: so it is made where no
    // sandbox sees it, and appears whole.
    let volume = open(data.join(".."), flags, Mode::empty())?;
    flock(&volume, FlockOperation::LockExclusive)?;
    let filling = data.with_file_name(FILLING);
    remove_if_there(&filling)?;
    if !is_empty(&to)? {
        return Ok(());
    }
    let filled = fill(&from, &to, &filling, flags);
    remove_if_there(&filling)?;
    filled
}

/// Where a volume's content is made, beside it.
const FILLING: &str = "_filling";

fn fill(from: &OwnedFd, to: &OwnedFd, filling: &Path, flags: OFlags) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(filling)?;
    let made = open(filling, flags, Mode::empty())?;
    copy_directory(from, &made)?;
    for entry in Dir::read_from(&made)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_dot(name) {
            renameat_with(&made, name, to, name, RenameFlags::NOREPLACE)?;
        }
    }
    take_after(to.as_fd(), &fstat(from)?)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_empty(directory: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(directory)? {
        if !is_dot(entry?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_dot(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dot(name) {
            continue;
        }
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                mkdirat(to, name, Mode::RWXU)?;
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                copy_directory(
                    &openat(from, name, flags, Mode::empty())?,
                    &openat(to, name, flags, Mode::empty())?,
                )?;
            }
            FileType::RegularFile => copy_file(from, to, name, &stat)?,
            FileType::Symlink => {
                symlinkat(&*readlinkat(from, name, Vec::new())?, to, name)?;
                chownat(to, name, owner(&stat).0, owner(&stat).1, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            kind => {
                mknodat(to, name, kind, mode(&stat), stat.st_rdev)?;
                chownat(to, name, owner(&stat).0, owner(&stat).1, AtFlags::SYMLINK_NOFOLLOW)?;
                chmodat(to, name, mode(&stat), AtFlags::empty())?;
            }
        }
    }
    let stat = fstat(from)?;
    take_after(to.as_fd(), &stat)
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> io::Result<()> {
    let mut source =
        File::from(openat(from, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut target = File::from(openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
    io::copy(&mut source, &mut target)?;
    take_after(target.as_fd(), stat)
}

/// Gives a copy the owner, mode and times of its original; the owner first, because chown clears set-user-ID.
fn take_after(copy: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    fchown(copy, owner(stat).0, owner(stat).1)?;
    fchmod(copy, mode(stat))?;
    let time = |tv_sec: i64, nsec: u64| Timespec { tv_sec, tv_nsec: i64::try_from(nsec).unwrap_or(0) };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    Ok(futimens(copy, &times)?)
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn mode(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn an_empty_volume_gets_the_images_content_and_a_used_one_keeps_its_own() {
        let (image, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = store.path().join("_data");
        fs::create_dir(&volume).unwrap();
        let data = image.path().join("data");
        fs::create_dir_all(data.join("deep")).unwrap();
        fs::write(data.join("deep/file"), "content").unwrap();
        fs::set_permissions(data.join("deep/file"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(data.join("deep/file"), Some(7), Some(8)).unwrap();
        symlink("../../etc/passwd", data.join("link")).unwrap();
        let root = File::open(image.path()).unwrap();

        copy_up(root.as_fd(), Path::new("/data"), &volume).unwrap();
        let copied = fs::metadata(volume.join("deep/file")).unwrap();
        assert_eq!((copied.uid(), copied.gid(), copied.mode() & 0o7777), (7, 8, 0o640));
        assert_eq!(fs::read_link(volume.join("link")).unwrap(), Path::new("../../etc/passwd"));

        fs::write(volume.join("deep/file"), "changed").unwrap();
        copy_up(root.as_fd(), Path::new("/data"), &volume).unwrap();
        assert_eq!(fs::read_to_string(volume.join("deep/file")).unwrap(), "changed");
    }

    #[test]
    fn an_image_without_the_directory_leaves_the_volume_empty() {
        let (image, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = store.path().join("_data");
        fs::create_dir(&volume).unwrap();
        symlink("/etc", image.path().join("data")).unwrap();
        let root = File::open(image.path()).unwrap();
        // The link leads to /etc of the image, which has none, and never to the host's.
        copy_up(root.as_fd(), Path::new("/data"), &volume).unwrap();
        assert_eq!(fs::read_dir(&volume).unwrap().count(), 0);
    }
}
