//! sched_setattr(2), Linux 3.14, and set_mempolicy(2).

use super::checked;

/// `struct sched_attr` of linux/sched/types.h in its first version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SchedAttr {
    pub(crate) size: u32,
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    /// Nanoseconds, like the next two.
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
}

/// Schedules the calling process by `attr`.
pub(crate) fn set_attr(attr: &SchedAttr) -> rustix::io::Result<()> {
    let size = u32::try_from(size_of::<SchedAttr>()).map_err(|_| rustix::io::Errno::INVAL)?;
    let attr = SchedAttr { size, ..*attr };
    // SAFETY: the kernel reads `size` bytes of `attr`, which outlives the call.
    checked(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) }).map(drop)
}

/// Sets the memory policy of the calling process, which its program inherits; `nodes` are the bits of the nodes.
pub(crate) fn set_memory_policy(mode: i32, nodes: &[u64]) -> rustix::io::Result<()> {
    // The kernel takes one bit less than it is told: get_mempolicy(2), "NOTES".
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the kernel reads `bits` - 1 bits from `mask`, which outlives the call; without nodes it is null.
    checked(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}
