//! Filling a fresh volume with what the image has at its destination, as docker and podman do.
//!
//! The image is hostile: what is copied takes no more room than it takes in the image, as holes stay holes and links
//! links, and its depth costs neither descriptors nor stack.

mod attributes;

use gaufre_store::remove_tree;
use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Gid, Mode, OFlags, RenameFlags, ResolveFlags, SeekFrom, Stat,
    Timespec, Timestamps, Uid, chmodat, chownat, fchmod, fchown, flock, fstat, ftruncate, futimens, linkat,
    mkdirat, mknodat, open, openat, openat2, readlinkat, renameat_with, seek, statat, symlinkat,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Copies the content of `directory` of the image, whose root `image` opens, into the volume at `data`, unless there is
/// something in it or the image has no such directory. Ownership, modes, times and, of files and directories, the
/// extended attributes go along; a device is refused by mknod(2)'s own error.
pub(super) fn copy_up(
    image: impl FnOnce() -> io::Result<OwnedFd>,
    directory: &Path,
    data: &Path,
) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOCTTY | OFlags::CLOEXEC;
    let to = open(data, flags, Mode::empty())?;
    // A sandbox that has the volume already could swap what is being made under our hands: so it is made where no
    // sandbox sees it, and appears whole.
    let volume = open(data.join(".."), flags, Mode::empty())?;
    flock(&volume, FlockOperation::LockExclusive)?;
    let filling = data.with_file_name(FILLING);
    remove_tree(&filling)?;
    if !is_empty(&to)? {
        return Ok(());
    }
    let inside = directory.strip_prefix("/").unwrap_or(directory);
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let from = match openat2(image()?, inside, flags, Mode::empty(), resolve) {
        Ok(from) => from,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let filled = fill(&from, &to, &filling, flags);
    remove_tree(&filling)?;
    filled
}

/// Where a volume's content is made, beside it.
const FILLING: &str = "_filling";

fn fill(from: &OwnedFd, to: &OwnedFd, filling: &Path, flags: OFlags) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(filling)?;
    let made = open(filling, flags, Mode::empty())?;
    copy_tree(from, &made)?;
    for entry in Dir::read_from(&made)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_dot(name) {
            renameat_with(&made, name, to, name, RenameFlags::NOREPLACE)?;
        }
    }
    take_after(to.as_fd(), from.as_fd())
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

/// Where the first name of a file that has several was copied to, by its device and inode.
type Links = HashMap<(u64, u64), PathBuf>;

/// Copies all below `from`. Of the way down only names are kept; a directory is opened when it is its turn.
fn copy_tree(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let mut links = Links::new();
    let mut path = PathBuf::new();
    let mut below = vec![copy_directory(from, to, &path, to, &mut links)?];
    while let Some(names) = below.last_mut() {
        let Some(name) = names.pop() else {
            below.pop();
            path.pop();
            continue;
        };
        path.push(OsStr::from_bytes(name.to_bytes()));
        let next = copy_directory(&descend(from, &path)?, &descend(to, &path)?, &path, to, &mut links)?;
        below.push(next);
    }
    Ok(())
}

/// Opens what is as deep as a path can be long: no image has anything deeper.
fn descend(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

/// Copies one directory, whose path below `root` of the copy is `path`. Its directories are made, and their names
/// returned: they are still to be filled.
fn copy_directory(
    from: &OwnedFd,
    to: &OwnedFd,
    path: &Path,
    root: &OwnedFd,
    links: &mut Links,
) -> io::Result<Vec<CString>> {
    let mut directories = Vec::new();
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dot(name) {
            continue;
        }
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            mkdirat(to, name, Mode::RWXU)?;
            directories.push(name.to_owned());
            continue;
        }
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = links.get(&inode) {
                linkat(root, first, to, name, AtFlags::empty())?;
                continue;
            }
            links.insert(inode, path.join(OsStr::from_bytes(name.to_bytes())));
        }
        match kind {
            FileType::RegularFile => copy_file(from, to, name)?,
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
    // What is filled later changes the times of what it is put in, and those are all made.
    take_after(to.as_fd(), from.as_fd())?;
    Ok(directories)
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<()> {
    let source =
        File::from(openat(from, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let target = File::from(openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
    copy_data(&source, &target)?;
    take_after(target.as_fd(), source.as_fd())
}

/// Copies what is data, and leaves holes where there are some (lseek(2), `SEEK_DATA`).
fn copy_data(source: &File, target: &File) -> io::Result<()> {
    let mut end = 0;
    loop {
        let start = match seek(source, SeekFrom::Data(end)) {
            Ok(start) => start,
            // No more of it.
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        end = seek(source, SeekFrom::Hole(start))?;
        seek(source, SeekFrom::Start(start))?;
        seek(target, SeekFrom::Start(start))?;
        let (mut data, mut target) = (source.take(end - start), target);
        io::copy(&mut data, &mut target)?;
    }
    Ok(ftruncate(target, source.metadata()?.len())?)
}

/// Gives a copy the owner, mode, extended attributes and times of its original; the owner first, because chown clears
/// set-user-ID and capabilities.
fn take_after(copy: BorrowedFd<'_>, original: BorrowedFd<'_>) -> io::Result<()> {
    let stat = &fstat(original)?;
    fchown(copy, owner(stat).0, owner(stat).1)?;
    fchmod(copy, mode(stat))?;
    attributes::copy(original, copy)?;
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
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
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
        let root = || Ok(File::open(image.path())?.into());

        copy_up(root, Path::new("/data"), &volume).unwrap();
        let copied = fs::metadata(volume.join("deep/file")).unwrap();
        assert_eq!((copied.uid(), copied.gid(), copied.mode() & 0o7777), (7, 8, 0o640));
        assert_eq!(fs::read_link(volume.join("link")).unwrap(), Path::new("../../etc/passwd"));

        fs::write(volume.join("deep/file"), "changed").unwrap();
        copy_up(root, Path::new("/data"), &volume).unwrap();
        assert_eq!(fs::read_to_string(volume.join("deep/file")).unwrap(), "changed");
    }

    #[test]
    fn extended_attributes_go_along() {
        let (image, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = store.path().join("_data");
        fs::create_dir(&volume).unwrap();
        let data = image.path().join("data");
        fs::create_dir_all(data.join("deep")).unwrap();
        fs::write(data.join("deep/file"), "content").unwrap();
        std::os::unix::fs::chown(data.join("deep/file"), Some(7), Some(8)).unwrap();
        // linux/capability.h: version 2, CAP_NET_RAW permitted.
        let raw: &[u8] = &[0, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let set = |path: &str, name: &str, value: &[u8]| {
            setxattr(data.join(path), name, value, XattrFlags::empty()).unwrap();
        };
        set("deep/file", "security.capability", raw);
        set("deep/file", "user.long", &[7; 3000]);
        set("deep/file", "trusted.overlay.opaque", b"y");
        set("deep", "user.of.directory", b"yes");
        set("", "user.of.top", b"");

        copy_up(|| Ok(File::open(image.path())?.into()), Path::new("/data"), &volume).unwrap();
        let get = |path: &str, name: &str| {
            let mut value = vec![0; 4096];
            let len = getxattr(volume.join(path), name, &mut value[..])?;
            value.truncate(len);
            Ok(value)
        };
        assert_eq!(get("deep/file", "security.capability"), Ok(raw.to_vec()));
        assert_eq!(get("deep/file", "user.long"), Ok(vec![7; 3000]));
        assert_eq!(get("deep", "user.of.directory"), Ok(b"yes".to_vec()));
        assert_eq!(get("", "user.of.top"), Ok(Vec::new()));
        // What steers the host's own file systems is no image's.
        assert_eq!(get("deep/file", "trusted.overlay.opaque"), Err(Errno::NODATA));
    }

    #[test]
    fn an_image_without_the_directory_leaves_the_volume_empty() {
        let (image, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = store.path().join("_data");
        fs::create_dir(&volume).unwrap();
        symlink("/etc", image.path().join("data")).unwrap();
        let root = || Ok(File::open(image.path())?.into());
        // The link leads to /etc of the image, which has none, and never to the host's.
        copy_up(root, Path::new("/data"), &volume).unwrap();
        assert_eq!(fs::read_dir(&volume).unwrap().count(), 0);
    }

    #[test]
    fn a_copy_takes_no_more_room_than_the_original() {
        let (image, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = store.path().join("_data");
        fs::create_dir(&volume).unwrap();
        let data = image.path().join("data");
        fs::create_dir_all(data.join("deep")).unwrap();
        let sparse = File::create(data.join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 1 << 30).unwrap();
        fs::hard_link(data.join("sparse"), data.join("deep/linked")).unwrap();
        fs::write(data.join("whole"), vec![7; 100_000]).unwrap();

        copy_up(|| Ok(File::open(image.path())?.into()), Path::new("/data"), &volume).unwrap();
        let copied = fs::metadata(volume.join("sparse")).unwrap();
        assert_eq!((copied.len(), copied.nlink()), (1 << 40, 2));
        assert!(copied.blocks() * 512 <= 1 << 20, "{} blocks", copied.blocks());
        assert_eq!(fs::metadata(volume.join("deep/linked")).unwrap().ino(), copied.ino());
        let mut bytes = [0; 13];
        let file = File::open(volume.join("sparse")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 1 << 30).unwrap();
        assert_eq!(&bytes, b"in the middle");
        assert_eq!(fs::read(volume.join("whole")).unwrap(), vec![7; 100_000]);
    }

    #[test]
    fn a_deep_tree_costs_no_descriptors() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(1024), maximum }).unwrap();
        let (image, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let volume = store.path().join("_data");
        fs::create_dir(&volume).unwrap();
        let deep = PathBuf::from("d/".repeat(1500));
        fs::create_dir_all(image.path().join("data").join(&deep)).unwrap();
        fs::write(image.path().join("data").join(&deep).join("file"), "down here").unwrap();
        copy_up(|| Ok(File::open(image.path())?.into()), Path::new("/data"), &volume).unwrap();
        assert_eq!(fs::read_to_string(volume.join(&deep).join("file")).unwrap(), "down here");
        remove_tree(&volume).unwrap();
        remove_tree(&image.path().join("data")).unwrap();
    }
}
