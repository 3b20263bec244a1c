//! Our own program, out of reach of the containers it runs.
//!
//! A workload can always execute `/proc/self/exe` of the process that becomes it, and so get hold of our binary
//! (CVE-2019-5736). What it gets hold of must not be writable: we run from a view of the binary on a read-only mount
//! that is attached nowhere, so that nobody can make it writable either.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use crate::step::{Step, StepError};
use crate::sys::exec::{CStringArray, fexecve};
use crate::sys::mount::{MountAttr, mount_setattr};

const SELF: &str = "/proc/self/exe";

/// Opens a view of the running binary that cannot be written through, from which to execute further processes of
/// ours: a detached read-only bind mount or, where mounting is not allowed, a sealed copy in memory.
///
/// # Errors
/// Neither can be made.
pub fn sealed_exe() -> std::io::Result<OwnedFd> {
    match read_only_view() {
        Ok(view) => Ok(view),
        Err(_) => sealed_copy(),
    }
}

/// Executes this program again, with the same arguments and environment, from a sealed view; returns at once when it
/// already runs from one. To be called first thing by a program that becomes a container's init.
///
/// # Errors
/// The view cannot be made or executed.
pub fn run_sealed() -> Result<(), StepError> {
    if is_sealed() {
        return Ok(());
    }
    let what = || "could not execute a sealed view of this program, /proc/self/exe";
    let exe = sealed_exe().step(what)?;
    let args = c_strings(std::env::args_os().map(OsStringExt::into_vec));
    let env = c_strings(std::env::vars_os().map(|(name, value)| {
        let mut variable = name.into_vec();
        variable.push(b'=');
        variable.extend(value.into_vec());
        variable
    }));
    Err(StepError::new(what(), fexecve(exe.as_fd(), &CStringArray::new(args), &CStringArray::new(env))))
}

/// Whether the running binary is on a read-only mount or a sealed memory file.
fn is_sealed() -> bool {
    let Ok(exe) = rustix::fs::open(SELF, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    let read_only = rustix::fs::fstatvfs(&exe).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    read_only || rustix::fs::fcntl_get_seals(&exe).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

fn read_only_view() -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, SELF, flags)?;
    let set = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    let attr = MountAttr { set, propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_setattr(tree.as_fd(), false, &attr)?;
    Ok(tree)
}

fn sealed_copy() -> std::io::Result<OwnedFd> {
    let mut original = std::fs::File::open(SELF)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = std::fs::File::from(rustix::fs::memfd_create("gaufre", flags)?);
    std::io::copy(&mut original, &mut copy)?;
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}

fn c_strings(strings: impl Iterator<Item = Vec<u8>>) -> Vec<CString> {
    // The kernel gave us these as C strings: none has a null inside.
    strings.filter_map(|string| CString::new(string).ok()).collect()
}
