//! The few things that neither the standard library nor rustix offers safely.

use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::io::{FdFlags, fcntl_setfd};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Numbers that have been taken, each of which may be owned once.
static TAKEN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Takes over a descriptor that whoever started this process left open for it; from here on it is closed on exec.
/// `None` when that descriptor is not open, is one of the standard streams, or has been taken already.
pub(crate) fn take_inherited(number: i32) -> Option<OwnedFd> {
    let open = number > 2 && std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok();
    if !open || !TAKEN.lock().ok()?.insert(number) {
        return None;
    }
    // SAFETY: the descriptor is open; hidden verbs take theirs first of all, before anything else opens one, and the
    // register above hands out each number at most once, so nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&fd, FdFlags::CLOEXEC).ok()?;
    Some(fd)
}

/// Whether and how the process behind a pidfd has ended, asked by one who is not its parent.
///
/// PIDFD_GET_INFO with PIDFD_INFO_EXIT (Linux 6.15) answers once the process has been reaped; `None` before that, and
/// on older kernels. The answer is in the encoding of wait(2).
pub(crate) fn exit_status_of(pidfd: impl AsFd) -> Option<i32> {
    /// `struct pidfd_info` of <linux/pidfd.h>.
    #[repr(C)]
    #[derive(Default)]
    struct PidfdInfo {
        mask: u64,
        cgroupid: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    const PIDFD_GET_INFO: rustix::ioctl::Opcode = rustix::ioctl::opcode::read_write::<PidfdInfo>(0xff, 11);

    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the opcode carries the size of `PidfdInfo`, which is laid out as the kernel's `struct pidfd_info`; the
    // kernel writes no more than that.
    let updater = unsafe { rustix::ioctl::Updater::<PIDFD_GET_INFO, PidfdInfo>::new(&mut info) };
    // SAFETY: any descriptor may be asked; one that is no pidfd answers ENOTTY.
    unsafe { rustix::ioctl::ioctl(pidfd, updater) }.ok()?;
    (info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    #[test]
    fn the_status_of_a_reaped_process_is_known_to_one_who_is_not_its_parent_or_unknown() {
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        child.wait().unwrap();
        // Kernels before 6.15 do not tell.
        assert!(matches!(exit_status_of(&pidfd), None | Some(0x700)));
    }

    #[test]
    fn a_descriptor_is_handed_out_once() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = std::os::fd::IntoRawFd::into_raw_fd(file);
        assert!(take_inherited(number).is_some());
        assert!(take_inherited(number).is_none());
        assert!(take_inherited(1).is_none());
    }
}
