//! The floor under every OCI runtime's `run`: a cgroup, one clone3(2) into it with all namespaces, the usual mounts,
//! pivot_root(2), execve(2), wait, and the cgroup's removal; no configuration, no devices, no seccomp, nothing checked
//! that the kernel does not check.
//!
//! `floor ROOTFS CGROUP PROGRAM`, the cgroup's directory to be made, the program as the new root has it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::mount::{
    MountFlags as M, MountPropagationFlags as Propagation, UnmountFlags, mount, mount_bind_recursive,
    mount_change, unmount,
};
use rustix::process::{Pid, WaitOptions, waitpid};

fn main() -> ExitCode {
    let words: Vec<CString> =
        std::env::args().skip(1).filter_map(|argument| CString::new(argument).ok()).collect();
    let [rootfs, cgroup, program] = words.as_slice() else {
        eprintln!("usage: floor ROOTFS CGROUP PROGRAM");
        return ExitCode::FAILURE;
    };
    match run(rootfs, cgroup, program) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the program ended with success.
fn run(rootfs: &CStr, cgroup: &CStr, program: &CStr) -> Result<bool> {
    rustix::fs::mkdir(cgroup, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let group = rustix::fs::open(cgroup, flags, Mode::empty())?;
    let Some(child) = fork_into(&group)? else {
        let error = enter(rootfs).map_or_else(|error| error, |()| execute(program));
        eprintln!("floor: {error}");
        std::process::exit(1);
    };
    let ended = waitpid(Some(child), WaitOptions::empty())?;
    rustix::fs::rmdir(cgroup)?;
    Ok(ended.is_some_and(|(_, status)| status.exit_status() == Some(0)))
}

/// None in the new process.
fn fork_into(group: &OwnedFd) -> Result<Option<Pid>> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP;
    // struct clone_args of linux/sched.h: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
    // set_tid, set_tid_size, cgroup.
    let mut args = [0_u64; 11];
    args[0] = u64::from(namespaces.cast_unsigned()) | CLONE_INTO_CGROUP;
    args[4] = u64::from(libc::SIGCHLD.cast_unsigned());
    args[10] = u64::from(group.as_raw_fd().cast_unsigned());
    // SAFETY: without CLONE_VM this is fork(2) of a process without threads; `args` has the size that is passed.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) };
    match i32::try_from(pid) {
        Ok(0) => Ok(None),
        Ok(pid) => Pid::from_raw(pid).filter(|_| pid > 0).map(Some).ok_or(Errno::AGAIN),
        Err(_) => Err(Errno::AGAIN),
    }
}

/// Makes `rootfs` the root, with the file systems that the default configuration mounts.
fn enter(rootfs: &CStr) -> Result<()> {
    let plain = M::NOSUID | M::NOEXEC | M::NODEV;
    mount_change("/", Propagation::REC | Propagation::PRIVATE)?;
    mount_bind_recursive(rootfs, rootfs)?;
    rustix::process::chdir(rootfs)?;
    mount("proc", "proc", "proc", plain, None)?;
    mount("tmpfs", "dev", "tmpfs", M::NOSUID | M::NOEXEC | M::STRICTATIME, c"mode=755,size=65536k")?;
    for directory in ["dev/pts", "dev/shm", "dev/mqueue"] {
        rustix::fs::mkdir(directory, Mode::from_raw_mode(0o755))?;
    }
    let pts = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount("devpts", "dev/pts", "devpts", M::NOSUID | M::NOEXEC, pts)?;
    mount("shm", "dev/shm", "tmpfs", plain, c"mode=1777,size=67108864")?;
    mount("mqueue", "dev/mqueue", "mqueue", plain, None)?;
    mount("sysfs", "sys", "sysfs", plain | M::RDONLY, None)?;
    mount("cgroup", "sys/fs/cgroup", "cgroup2", plain | M::RDONLY | M::RELATIME, None)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

/// Returns only on failure.
fn execute(program: &CStr) -> Errno {
    let arguments = [program.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    // SAFETY: strings and arrays are null-terminated, and live until the call returns.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
