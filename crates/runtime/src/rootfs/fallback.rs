//! What is done where the plain way of mounting is closed.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::bind::clone_tree;
use crate::namespaces::NamespacePlan;
use crate::sys::mount::{MountAttr, mount_setattr};
use oci_spec::runtime::LinuxNamespaceType;

/// fsconfig(2) takes strings of at most 255 bytes.
pub(super) const VALUE_BYTES_MAX: usize = 255;

/// A clone of the host's own mount of `kind`: in a user namespace a new one may be made only by who owns the namespace
/// that it shows. It is shown only if the sandbox has none of its own of that type: else it would show another one.
pub(super) fn host_mount(
    kind: &str,
    namespaces: &NamespacePlan,
    attr: MountAttr,
) -> Option<rustix::io::Result<OwnedFd>> {
    use LinuxNamespaceType as T;
    let (path, shows) = match kind {
        "sysfs" => ("/sys", T::Network),
        "mqueue" => ("/dev/mqueue", T::Ipc),
        "proc" => ("/proc", T::Pid),
        _ => return None,
    };
    (!namespaces.has(shows)).then(|| {
        let dir = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let tree = clone_tree(dir, true)?;
        // What the host's mount already forbids stays so; a user namespace may only forbid more.
        let attr = MountAttr { set: attr.set, propagation: libc::MS_PRIVATE, ..MountAttr::default() };
        mount_setattr(tree.as_fd(), true, &attr)?;
        Ok(tree)
    })
}

/// A new file system by mount(2), whose options may be longer; gives a detached mount of it. mount(2) wants a place by
/// its name: that is one of the host's, in the sandbox's own mount namespace, where nobody else sees it come and go.
pub(super) fn by_mount(
    kind: &str,
    source: Option<&Path>,
    read_only: bool,
    data: &[(String, Option<String>)],
) -> rustix::io::Result<OwnedFd> {
    const PLACE: &str = "/proc";
    let words: Vec<String> = data
        .iter()
        .map(|(key, value)| value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}")))
        .collect();
    let data = CString::new(words.join(",")).map_err(|_| Errno::INVAL)?;
    let source = source.unwrap_or(Path::new(kind));
    let flags = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
    rustix::mount::mount(source, PLACE, kind, flags, Some(data.as_c_str()))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let tree = rustix::fs::open(PLACE, flags, Mode::empty()).and_then(|dir| clone_tree(dir, false));
    rustix::mount::unmount(PLACE, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    tree
}
