//! A working directory that somebody asked for has to be there. The runtime makes whatever is missing, as runc and crun
//! do, which is right for the image's own and hides a mistyped one.

use oci_spec::runtime::Mount;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

/// Whether `root`, on which `mounts` are still to be mounted, has no directory `path`. What lies below one of the mounts
/// cannot be told yet, nor what a symbolic link leads to that may point there: then `false`.
pub(crate) fn is_missing(root: BorrowedFd<'_>, path: &str, mounts: &[Mount]) -> bool {
    let path = lexical(Path::new(path));
    // Nothing can be made there, and /proc/self is another for whoever looks from outside.
    if path.starts_with("/proc") || mounts.iter().any(|mount| path.starts_with(lexical(mount.destination())))
    {
        return false;
    }
    let look = |links| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | links;
        openat2(root, path.as_path(), flags, Mode::empty(), resolve).err()
    };
    match look(ResolveFlags::empty()) {
        Some(Errno::NOENT | Errno::NOTDIR) => {
            mounts.is_empty() || look(ResolveFlags::NO_SYMLINKS) != Some(Errno::LOOP)
        }
        _ => false,
    }
}

/// Without `.`, and with every `..` taken back.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    plain
}
