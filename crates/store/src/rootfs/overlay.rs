//! The overlay mount itself, by whichever way the kernel takes its layers.
//!
//! | Linux | layers are given as |
//! |---|---|
//! | 6.13 | descriptors, one `lowerdir+` each |
//! | 6.5 | paths, one `lowerdir+` each |
//! | before | one `lowerdir` string, of 255 bytes at most (fsconfig(2)) |
//!
//! Options, and why: `metacopy=off`, so that an upper directory stands for itself; `redirect_dir=on` with an upper
//! directory, so that a sandbox can rename directories that come from a layer (else EXDEV), and `nofollow` without,
//! as no layer has redirections: the unpacker drops them; `index=off`, since layers are moved and shared freely;
//! `xino` as the kernel has it, because all directories are on one file system, which makes inode numbers right.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::MountError;

/// The longest string that fsconfig(2) takes, without its NUL.
const MAX_STRING_BYTES: usize = 255;

/// A read-only directory of the overlay.
#[derive(Debug)]
pub(super) struct Lower {
    pub(super) dir: OwnedFd,
    pub(super) path: PathBuf,
}

/// Where changes go.
#[derive(Debug)]
pub(super) struct Upper {
    pub(super) upper: OwnedFd,
    pub(super) work: OwnedFd,
    /// What holds both.
    pub(super) dir: PathBuf,
}

/// An overlay to be mounted.
pub(super) struct Overlay<'a> {
    /// Top first.
    pub(super) lowers: &'a [Lower],
    pub(super) upper: Option<&'a Upper>,
    pub(super) volatile: bool,
}

/// How layers are given to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Descriptors,
    Paths,
    OneString,
}

/// The step that failed, and why.
struct Failed {
    step: &'static str,
    errno: Errno,
    log: Option<String>,
}

impl Overlay<'_> {
    /// Mounts it, detached. `layers` is for the message only.
    pub(super) fn mount(&self, layers: usize) -> Result<OwnedFd, MountError> {
        self.mount_by(&[Way::Descriptors, Way::Paths, Way::OneString], layers)
    }

    fn mount_by(&self, ways: &[Way], layers: usize) -> Result<OwnedFd, MountError> {
        let mut failed = None;
        for &way in ways {
            match self.try_way(way) {
                Ok(mount) => return Ok(mount),
                Err(error) => {
                    // Only a kernel that does not know the way is asked again in another.
                    let unknown = error.step == GIVE_LAYERS && error.errno != Errno::NOMEM;
                    failed = Some(error);
                    if !unknown {
                        break;
                    }
                }
            }
        }
        let Failed { step, errno, log } =
            failed.unwrap_or(Failed { step: OPEN, errno: Errno::NOSYS, log: None });
        Err(MountError::Mount { layers, step, log, source: errno.into() })
    }

    fn try_way(&self, way: Way) -> Result<OwnedFd, Failed> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(step(OPEN))?;
        let with_log = |failed: Failed| Failed { log: read_log(&context), ..failed };
        let farm = self.give_layers(&context, way).map_err(|e| with_log(step(GIVE_LAYERS)(e)))?;
        self.set_options(&context).map_err(|e| with_log(step("the kernel refuses an option")(e)))?;
        match &farm {
            None => fsconfig_create(&context),
            Some(farm) => farm.within(|| fsconfig_create(&context)),
        }
        .map_err(|error| with_log(step("the kernel refuses the layers")(error)))?;
        // Device nodes of an image lead nowhere: a sandbox's devices are those that the runtime makes in its own /dev.
        let attributes = match self.upper {
            Some(_) => MountAttrFlags::MOUNT_ATTR_NODEV,
            None => MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(step("it cannot be made a mount"))
    }

    fn give_layers(&self, context: &OwnedFd, way: Way) -> rustix::io::Result<Option<Farm>> {
        let by_descriptor = way == Way::Descriptors;
        if let Some(upper) = self.upper {
            give(context, "upperdir", &upper.upper, &upper.dir.join("upper"), by_descriptor)?;
            give(context, "workdir", &upper.work, &upper.dir.join("work"), by_descriptor)?;
        }
        if way == Way::OneString {
            let farm = Farm::plant(self.lowers)?;
            // From 6.5 on the names are looked up here, before that when the file system is created.
            farm.within(|| fsconfig_set_string(context, "lowerdir", farm.names.as_slice()))?;
            return Ok(Some(farm));
        }
        for lower in self.lowers {
            give(context, "lowerdir+", &lower.dir, &lower.path, by_descriptor)?;
        }
        Ok(None)
    }

    fn set_options(&self, context: &OwnedFd) -> rustix::io::Result<()> {
        fsconfig_set_string(context, "source", "gaufre")?;
        fsconfig_set_string(context, "metacopy", "off")?;
        fsconfig_set_string(context, "index", "off")?;
        let redirect = if self.upper.is_some() { "on" } else { "nofollow" };
        fsconfig_set_string(context, "redirect_dir", redirect)?;
        if self.volatile && self.upper.is_some() {
            fsconfig_set_flag(context, "volatile")?;
        }
        Ok(())
    }
}

const OPEN: &str = "this kernel has no overlayfs to offer";
const GIVE_LAYERS: &str = "the kernel does not take the layers";

fn step(step: &'static str) -> impl Fn(Errno) -> Failed {
    move |errno| Failed { step, errno, log: None }
}

/// Gives one directory: its descriptor, or its path where that is short enough, or the path of the descriptor.
fn give(
    context: &OwnedFd,
    key: &str,
    dir: &OwnedFd,
    path: &Path,
    by_descriptor: bool,
) -> rustix::io::Result<()> {
    if by_descriptor {
        return fsconfig_set_fd(context, key, dir);
    }
    // A colon, comma or backslash would be read as more than a name.
    let plain = path.as_os_str().as_encoded_bytes().iter().all(|byte| !b":,\\".contains(byte));
    if plain && path.is_absolute() && path.as_os_str().len() <= MAX_STRING_BYTES {
        return fsconfig_set_string(context, key, path);
    }
    fsconfig_set_string(context, key, format!("/proc/self/fd/{}", dir.as_raw_fd()))
}

/// What the file system wrote about its refusal (fsopen(2): reading from the context).
fn read_log(context: &OwnedFd) -> Option<String> {
    let mut last = None;
    let mut line = [0; 1024];
    while let Ok(len @ 1..) = rustix::io::read(context, &mut line) {
        let text = String::from_utf8_lossy(&line[..len]);
        last = Some(text.trim_start_matches(['e', 'w', 'i']).trim().to_owned());
    }
    last
}

/// A tmpfs, attached nowhere, of links with names of one byte each to the layers: 127 layers are then named in
/// 253 bytes. The names mean something only to a process whose working directory this is.
struct Farm {
    dir: OwnedFd,
    /// `a:b:c`, top first.
    names: Vec<u8>,
}

impl Farm {
    fn plant(lowers: &[Lower]) -> rustix::io::Result<Self> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "mode", "0700")?;
        fsconfig_create(&context)?;
        let dir = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        // Bytes that mean something in a path or in the list of options are left out.
        let mut free = (1..=u8::MAX).filter(|byte| !b"./:,\\".contains(byte));
        let mut names = Vec::with_capacity(2 * lowers.len());
        for lower in lowers {
            let name = free.next().ok_or(Errno::NAMETOOLONG)?;
            let target = format!("/proc/self/fd/{}", lower.dir.as_raw_fd());
            rustix::fs::symlinkat(target, &dir, [name].as_slice())?;
            names.extend([name, b':']);
        }
        names.pop();
        if names.len() > MAX_STRING_BYTES { Err(Errno::NAMETOOLONG) } else { Ok(Self { dir, names }) }
    }

    /// Runs `mount` with this as the working directory.
    fn within<T>(&self, mount: impl FnOnce() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let before = rustix::fs::open(".", flags, Mode::empty())?;
        rustix::process::fchdir(&self.dir)?;
        let result = mount();
        rustix::process::fchdir(&before)?;
        result
    }
}

/// For the tests of the ways that this kernel would not choose.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_giving_127_layers_works() {
        let root = tempfile::tempdir().unwrap();
        let lowers: Vec<Lower> = (0..127)
            .map(|number| {
                let path = root.path().join(format!("layer-{number}"));
                std::fs::create_dir(&path).unwrap();
                std::fs::write(path.join("which"), number.to_string()).unwrap();
                std::fs::write(path.join(format!("file-{number}")), "x").unwrap();
                Lower { dir: std::fs::File::open(&path).unwrap().into(), path }
            })
            .collect();
        for way in [Way::Descriptors, Way::Paths, Way::OneString] {
            let overlay = Overlay { lowers: &lowers, upper: None, volatile: false };
            let mount = overlay.mount_by(&[way], 127).unwrap();
            let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
            assert_eq!(std::fs::read_to_string(format!("{path}/which")).unwrap(), "0", "{way:?}");
            assert_eq!(std::fs::read_dir(path).unwrap().count(), 128, "{way:?}");
        }
    }

    #[test]
    fn more_layers_than_the_kernel_takes_give_an_error() {
        let root = tempfile::tempdir().unwrap();
        let lowers: Vec<Lower> = (0..300)
            .map(|_| Lower {
                dir: std::fs::File::open(root.path()).unwrap().into(),
                path: root.path().into(),
            })
            .collect();
        let overlay = Overlay { lowers: &lowers, upper: None, volatile: false };
        assert!(overlay.mount_by(&[Way::OneString], 300).is_err());
    }
}
