//! Device nodes, and the few links in /dev that programs expect.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::bind::clone_tree;
use super::filesystem::attach;
use super::root::{Links, Root, open_child};
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// One device node to be made.
#[derive(Clone, Debug)]
pub(crate) struct DevicePlan {
    path: PathBuf,
    kind: FileType,
    number: u64,
    mode: u32,
    uid: u32,
    gid: u32,
}

/// The devices that every container has: config-linux.md, "Default Devices".
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// The default devices, then those of the configuration, of which one with the same path wins.
pub(crate) fn plan(asked: &[LinuxDevice]) -> Result<Vec<DevicePlan>, StepError> {
    let mut devices: Vec<DevicePlan> = DEFAULTS
        .iter()
        .map(|(path, major, minor)| DevicePlan {
            path: PathBuf::from(path),
            kind: FileType::CharacterDevice,
            number: rustix::fs::makedev(*major, *minor),
            mode: 0o666,
            uid: 0,
            gid: 0,
        })
        .collect();
    for device in asked {
        let device = from_spec(device)?;
        devices.retain(|other| other.path != device.path);
        devices.push(device);
    }
    Ok(devices)
}

fn from_spec(device: &LinuxDevice) -> Result<DevicePlan, StepError> {
    let path = device.path().clone();
    let bad = |what: &str| StepError::rule(format!("the device {} has {what}", path.display()));
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(bad("no type of its own")),
    };
    let number = if kind == FileType::Fifo {
        0
    } else {
        if (device.major(), device.minor()) == (0, 0) {
            return Err(bad("no number"));
        }
        let part = |number: i64| u32::try_from(number).map_err(|_| bad("an impossible number"));
        rustix::fs::makedev(part(device.major())?, part(device.minor())?)
    };
    Ok(DevicePlan {
        kind,
        number,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
        path,
    })
}

/// Makes the devices. The umask must be 0.
pub(crate) fn make_all(root: &Root, devices: &[DevicePlan]) -> Result<(), StepError> {
    devices.iter().try_for_each(|device| make(root, device))
}

fn make(root: &Root, device: &DevicePlan) -> Result<(), StepError> {
    let what = || format!("could not make the device {}", device.path.display());
    let (dir, name) = root.ensure_parent(&device.path, Links::Refused)?;
    match rustix::fs::mknodat(&dir, &name, device.kind, Mode::from_raw_mode(device.mode), device.number) {
        Ok(()) => {}
        Err(Errno::EXIST) => return accept_existing(&dir, &name, device),
        Err(Errno::PERM) => return bind_host_device(root, device),
        Err(error) => return Err(error).step(what),
    }
    if device.uid == 0 && device.gid == 0 {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    rustix::fs::chownat(&dir, &name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).step(what)
}

/// An entry that is already there serves if it is the very device; it is never changed or removed.
fn accept_existing(dir: impl AsFd, name: &Path, device: &DevicePlan) -> Result<(), StepError> {
    let what =
        || format!("{} exists in the container and is not the device asked for", device.path.display());
    let stat = open_child(dir.as_fd(), name, OFlags::PATH).and_then(rustix::fs::fstat).step(what)?;
    if FileType::from_raw_mode(stat.st_mode) == device.kind && stat.st_rdev == device.number {
        return Ok(());
    }
    Err(StepError::rule(what()))
}

/// Where making a node is forbidden, the host's own of the same name and number is bound, read-only: the device works
/// all the same, but the mode and owner of the host's node stay as they are.
fn bind_host_device(root: &Root, device: &DevicePlan) -> Result<(), StepError> {
    let what = || format!("could not make the device {}", device.path.display());
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let host = rustix::fs::open(&device.path, flags, Mode::empty()).step(what)?;
    let stat = rustix::fs::fstat(&host).step(what)?;
    if FileType::from_raw_mode(stat.st_mode) != device.kind || stat.st_rdev != device.number {
        return Err(StepError::new(what(), Errno::PERM));
    }
    let target = root.ensure_file(&device.path, Links::Refused)?;
    let tree = clone_tree(&host, false).step(what)?;
    let attr = MountAttr {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(),
        propagation: libc::MS_PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(tree.as_fd(), false, &attr).step(what)?;
    attach(tree, &target).step(what)
}

/// Makes the links of /dev where nothing of that name exists; what exists stays as it is.
pub(crate) fn make_links(root: &Root) -> Result<(), StepError> {
    let dev = root.ensure_dir(Path::new("/dev"), Links::Refused)?;
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ];
    for (name, content) in links {
        match rustix::fs::symlinkat(content, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).step(|| format!("could not make the link /dev/{name}")),
        }
    }
    Ok(())
}
