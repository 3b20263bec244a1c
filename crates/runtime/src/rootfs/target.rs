//! Where a mount may land. The image decides where links inside the root lead, so this is judged on the descriptor that
//! came of the resolution.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, StatxFlags, fstatfs, statx};

use super::plan::{MountPlan, MountSource};
use super::root::{Root, normal};
use crate::step::{Step, StepError};

/// Magic numbers of linux/magic.h.
const PROC: i64 = 0x9fa0;
const SYSFS: i64 = 0x6265_6572;

/// What a file of the host may be shown as in /proc: status that programs read, behind which no setting hides. It is
/// what runc lets through, for lxcfs and checkpointing.
const REPLACEABLE: [&str; 10] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/net/dev",
    "proc/slabinfo",
    "proc/stat",
    "proc/swaps",
    "proc/sys/kernel/ns_last_pid",
    "proc/uptime",
];

/// File systems whose contents are the kernel's.
const KERNEL_KINDS: [&str; 16] = [
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "fusectl",
    "mqueue",
    "proc",
    "pstore",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// Refuses the root itself as a target: everything mounted so far would be hidden.
pub(crate) fn refuse_root(root: &Root, target: &OwnedFd, destination: &Path) -> Result<(), StepError> {
    let what = || format!("{} in the container cannot be used", destination.display());
    let place = |fd: &dyn Fn() -> rustix::io::Result<rustix::fs::Statx>| {
        fd().map(|stat| (stat.stx_mnt_id, stat.stx_ino)).step(what)
    };
    let mask = StatxFlags::INO | StatxFlags::MNT_ID;
    let of_root = place(&|| statx(root.as_fd(), "", AtFlags::EMPTY_PATH, mask))?;
    let of_target = place(&|| statx(target.as_fd(), "", AtFlags::EMPTY_PATH, mask))?;
    if of_root == of_target {
        return Err(StepError::rule(format!(
            "the mount at {} would cover the root of the container",
            destination.display()
        )));
    }
    Ok(())
}

/// Refuses to cover a part of procfs or sysfs, on which the sandbox's protection is built, by a bind or a new file system
/// with contents of anybody's choice.
///
/// The kernel's own file systems there are no concern of this, nor are the few files of /proc that may be replaced,
/// the cgroup directory, and file systems of the host's kernel shown at a place in /proc or /sys that the configuration
/// itself, not a link of the image, names.
pub(crate) fn refuse_kernel_files(plan: &MountPlan, target: &OwnedFd) -> Result<(), StepError> {
    let what = || format!("{} in the container cannot be used", plan.destination.display());
    let bind = match &plan.source {
        MountSource::Bind(bind) => Some(bind),
        MountSource::FileSystem { kind, .. } if !KERNEL_KINDS.contains(&kind.as_str()) => None,
        MountSource::FileSystem { .. }
        | MountSource::Cgroups
        | MountSource::BindLater(_)
        | MountSource::Remount => return Ok(()),
    };
    let magic = fstatfs(target).step(what)?.f_type;
    let destination = normal(&plan.destination);
    let accepted = match (magic, bind) {
        (PROC, Some(bind)) if destination == Path::new("proc") => {
            fstatfs(&bind.opened).step(what)?.f_type == PROC
        }
        (PROC, Some(bind)) => !bind.is_dir && REPLACEABLE.iter().any(|path| destination == Path::new(path)),
        (SYSFS, Some(_)) if destination == Path::new("sys/fs/cgroup") => true,
        (SYSFS, Some(bind)) if destination.starts_with("sys") => {
            is_of_the_kernel(fstatfs(&bind.opened).step(what)?.f_type)
        }
        (PROC | SYSFS, _) => false,
        _ => true,
    };
    if accepted {
        return Ok(());
    }
    let name = if magic == PROC { "procfs" } else { "sysfs" };
    Err(StepError::rule(format!(
        "the mount at {} would cover a part of the container's {name}",
        plan.destination.display()
    )))
}

/// Whether it is one of the file systems that the host has in /sys: sysfs, cgroup, cgroup2, bpf, debugfs, tracefs,
/// securityfs, efivarfs, pstore, selinuxfs, configfs, fusectl.
fn is_of_the_kernel(magic: i64) -> bool {
    const OTHERS: [i64; 11] = [
        0x0027_e0eb,
        0x6367_7270,
        0xcafe_4a11,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0xde5e_81e4,
        0x6165_676c,
        0xf97c_ff8c,
        0x6265_6570,
        0x6573_5543,
    ];
    magic == SYSFS || OTHERS.contains(&magic)
}
