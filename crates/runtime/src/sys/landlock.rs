//! landlock(7): landlock_create_ruleset(2), landlock_add_rule(2), landlock_restrict_self(2), Linux 5.13.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::checked;

/// `struct landlock_ruleset_attr` in its size of ABI 4 (Linux 6.7).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RulesetAttr {
    pub(crate) handled_access_fs: u64,
    pub(crate) handled_access_net: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// `struct landlock_net_port_attr`.
#[repr(C)]
struct NetPortAttr {
    allowed_access: u64,
    port: u64,
}

/// The version of the interface that the kernel has.
pub(crate) fn abi() -> rustix::io::Result<i64> {
    const VERSION: u32 = 1;
    let none = std::ptr::null::<RulesetAttr>();
    // SAFETY: asking for the version takes no attributes.
    checked(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION) })
}

/// A new set of rules, closed on exec.
pub(crate) fn create_ruleset(attr: &RulesetAttr) -> rustix::io::Result<OwnedFd> {
    // A kernel without rules for the network knows only the first member.
    let size = if attr.handled_access_net == 0 { size_of::<u64>() } else { size_of::<RulesetAttr>() };
    let attr: *const RulesetAttr = attr;
    // SAFETY: the kernel reads `size` bytes of `attr`, which outlives the call.
    let fd = checked(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attr, size, 0) })?;
    let fd = libc::c_int::try_from(fd).map_err(|_| rustix::io::Errno::BADF)?;
    // SAFETY: a successful call returns a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Allows `access` to the file behind `path` and, if it is a directory, to everything below it.
pub(crate) fn allow_path(
    ruleset: BorrowedFd<'_>,
    path: BorrowedFd<'_>,
    access: u64,
) -> rustix::io::Result<()> {
    const PATH_BENEATH: libc::c_int = 1;
    let attr = PathBeneathAttr { allowed_access: access, parent_fd: path.as_raw_fd() };
    // SAFETY: the kernel reads `attr`, which outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), PATH_BENEATH, &raw const attr, 0)
    };
    checked(result).map(drop)
}

/// Allows `access` to a TCP port.
pub(crate) fn allow_port(ruleset: BorrowedFd<'_>, port: u16, access: u64) -> rustix::io::Result<()> {
    const NET_PORT: libc::c_int = 2;
    let attr = NetPortAttr { allowed_access: access, port: port.into() };
    // SAFETY: the kernel reads `attr`, which outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), NET_PORT, &raw const attr, 0)
    };
    checked(result).map(drop)
}

/// Puts the calling process under the rules, for good.
pub(crate) fn restrict_self(ruleset: BorrowedFd<'_>) -> rustix::io::Result<()> {
    // SAFETY: takes numbers and touches no memory of ours.
    checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) }).map(drop)
}
