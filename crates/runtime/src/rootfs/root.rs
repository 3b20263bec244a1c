//! Paths inside the sandbox's root. Whoever made the image chose what they mean, so each is resolved by the kernel
//! with the root as its root (openat2(2), `RESOLVE_IN_ROOT`, Linux 5.6) and used by the descriptor that comes back.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::step::{Step, StepError};

/// How many links a path may lead through where something is missing: path_resolution(7).
const LINKS_MAX: u32 = 40;

/// How symbolic links inside the root are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// Followed, as far as they stay in the root, which the kernel sees to.
    Within,
    /// Refused: kernel file systems and devices belong where the name says.
    Refused,
}

/// The root directory of a sandbox.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Root {
    /// Takes the descriptor of the root directory.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens `path` inside the root. Magic links (/proc/self/fd and its kin) are never followed.
    pub(crate) fn open(&self, path: &Path, flags: OFlags, links: Links) -> rustix::io::Result<OwnedFd> {
        open_within(self.fd.as_fd(), path, flags, links)
    }

    /// Opens the directory `path`, made with all its missing parents (mode 0755) where it does not exist.
    pub(crate) fn ensure_dir(&self, path: &Path, links: Links) -> Result<OwnedFd, StepError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.open(path, flags, links) {
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => return Err(refused_link(path)),
            other => return other.step(|| format!("{} in the container cannot be used", path.display())),
        }
        self.make(path, links, Kind::Directory)
    }

    /// Opens the file `path`, which may be anything but a directory; an empty one is made where nothing exists.
    pub(crate) fn ensure_file(&self, path: &Path, links: Links) -> Result<OwnedFd, StepError> {
        match self.open(path, OFlags::PATH, links) {
            Err(Errno::NOENT) => {}
            Err(Errno::LOOP) => return Err(refused_link(path)),
            other => {
                let file = other.step(|| format!("{} in the container cannot be used", path.display()))?;
                return not_a_directory(file, path);
            }
        }
        if normal(path).as_os_str().is_empty() {
            return Err(StepError::rule("the root itself cannot be a target in the container"));
        }
        not_a_directory(self.make(path, links, Kind::File)?, path)
    }

    /// Makes what is missing of `path`, which is that kind in the end. A link of the image to what does not exist leads
    /// to where it is made, as with other runtimes: /var/run is such a link in many images, /etc/resolv.conf in some.
    fn make(&self, path: &Path, links: Links, kind: Kind) -> Result<OwnedFd, StepError> {
        let what = || format!("{} could not be made in the container", path.display());
        let mut rest = names(&normal(path));
        // Where `dir` is, without any link.
        let mut real = PathBuf::new();
        let open_real = |real: &Path| self.open(real, OFlags::PATH | OFlags::DIRECTORY, Links::Refused);
        let mut dir = open_real(&real).step(|| "the container's root cannot be opened")?;
        let mut links_left = LINKS_MAX;
        while let Some(name) = rest.pop() {
            if name == ".." {
                real.pop();
                dir = open_real(&real).step(what)?;
                continue;
            }
            let kind = if rest.is_empty() { kind } else { Kind::Directory };
            match kind.open_or_make(dir.as_fd(), Path::new(&name)) {
                Ok(next) => {
                    real.push(&name);
                    dir = next;
                }
                Err(Errno::LOOP) if links == Links::Within && links_left > 0 => {
                    links_left -= 1;
                    // A magic link, or a circle.
                    if self.open(&real.join(&name), OFlags::PATH, links).err() == Some(Errno::LOOP) {
                        return Err(refused_link(path));
                    }
                    let target = rustix::fs::readlinkat(&dir, Path::new(&name), Vec::new()).step(what)?;
                    let target = Path::new(OsStr::from_bytes(target.to_bytes()));
                    if target.is_absolute() {
                        real.clear();
                        dir = open_real(&real).step(what)?;
                    }
                    rest.extend(names(target));
                }
                Err(Errno::LOOP) => return Err(refused_link(path)),
                Err(error) => return Err(error).step(what),
            }
        }
        Ok(dir)
    }

    /// Opens the directory that holds the last name of `path`, made where missing, and gives that name.
    pub(crate) fn ensure_parent(&self, path: &Path, links: Links) -> Result<(OwnedFd, PathBuf), StepError> {
        let path = normal(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(StepError::rule("the root itself cannot be a target in the container"));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        Ok((self.ensure_dir(parent, links)?, PathBuf::from(name)))
    }
}

/// Opens `path` with `dir` as its root.
pub(crate) fn open_within(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    links: Links,
) -> rustix::io::Result<OwnedFd> {
    let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    if links == Links::Refused {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // EAGAIN: something was renamed during the walk and the kernel cannot vouch for it; walk again.
    for _ in 0..1000 {
        match openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens the entry `name` of `dir` itself: a symbolic link there is refused, whatever it points to.
pub(crate) fn open_child(
    dir: BorrowedFd<'_>,
    name: impl AsRef<Path>,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    open_within(dir, name.as_ref(), flags, Links::Refused)
}

/// What is made where nothing is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Directory,
    File,
}

impl Kind {
    /// Opens the entry `name` of `dir`, made where it does not exist. ELOOP: it is a link.
    fn open_or_make(self, dir: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = match self {
            Self::Directory => OFlags::PATH | OFlags::DIRECTORY,
            Self::File => OFlags::PATH,
        };
        match open_child(dir, name, flags) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let made = match self {
            Self::Directory => rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)),
            Self::File => {
                let mode = Mode::from_raw_mode(0o644);
                rustix::fs::mknodat(dir, name, FileType::RegularFile, mode, 0)
            }
        };
        match made {
            Ok(()) | Err(Errno::EXIST) => open_child(dir, name, flags),
            Err(error) => Err(error),
        }
    }
}

/// The names of a path, the last one first; `.` and the root left out.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = names.collect();
    names.reverse();
    names
}

fn not_a_directory(file: OwnedFd, path: &Path) -> Result<OwnedFd, StepError> {
    let stat =
        rustix::fs::fstat(&file).step(|| format!("{} in the container cannot be read", path.display()))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(StepError::new(
            format!("{} is a directory in the container, but a file goes there", path.display()),
            Errno::ISDIR,
        ));
    }
    Ok(file)
}

fn refused_link(path: &Path) -> StepError {
    StepError::new(
        format!("{} leads through a symbolic link that is refused there", path.display()),
        Errno::LOOP,
    )
}

/// The path without `.`, with `..` taken back by name, and relative. Nothing escapes by it: it is only ever resolved
/// inside the root.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}
