//! The default profile: what ordinary programs need is allowed, what reaches past the sandbox is refused with EPERM,
//! and what this list does not know does not exist (ENOSYS), so that C libraries fall back to older calls.
//!
//! Some calls are guarded by a capability in the kernel as well; a container that was given the capability gets the
//! calls with it. The breadth is that of Docker's profile; ptrace(2) and what reads another process's memory are allowed
//! as there, since Linux 4.8 asks the filter after the tracer, so that tracing is no way past it.

use std::collections::HashSet;

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

#[rustfmt::skip]
const FILES: &[&str] = &[
    "access", "chdir", "chmod", "chown", "chown32", "close", "close_range", "copy_file_range", "creat", "dup", "dup2",
    "dup3", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fchdir", "fchmod", "fchmodat",
    "fchmodat2", "fchown", "fchown32", "fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock",
    "fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
    "ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "getxattr", "getxattrat", "inotify_add_watch",
    "inotify_init", "inotify_init1", "inotify_rm_watch", "fanotify_mark", "ioctl", "lchown", "lchown32", "lgetxattr",
    "link", "linkat", "listxattr", "listxattrat", "llistxattr", "_llseek", "lremovexattr", "lseek", "lsetxattr",
    "lstat", "lstat64", "mkdir", "mkdirat", "mknod", "mknodat", "name_to_handle_at", "newfstatat", "oldfstat",
    "oldlstat", "oldstat", "open", "openat", "openat2", "pipe", "pipe2", "pread64", "preadv", "preadv2", "pwrite64",
    "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "removexattr", "removexattrat",
    "rename", "renameat", "renameat2", "rmdir", "sendfile", "sendfile64", "setxattr", "setxattrat", "splice", "stat",
    "stat64", "statfs", "statfs64", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "tee",
    "truncate", "truncate64", "umask", "unlink", "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes",
    "vmsplice", "write", "writev", "cachestat", "file_getattr", "file_setattr", "listmount", "statmount",
];

#[rustfmt::skip]
const PROCESSES: &[&str] = &[
    "adjtimex", "arch_prctl", "brk", "capget", "capset", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "execve", "execveat", "exit", "exit_group", "fork",
    "getcpu", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32",
    "getitimer", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32",
    "getresuid", "getresuid32", "getrlimit", "get_robust_list", "getrusage", "getsid", "get_thread_area", "gettid",
    "gettimeofday", "getuid", "getuid32", "ioprio_get", "ioprio_set", "kill", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "membarrier", "modify_ldt", "nanosleep", "pause",
    "pidfd_open", "pidfd_send_signal", "prctl", "prlimit64", "restart_syscall", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait",
    "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_get_priority_max", "sched_get_priority_min", "sched_getscheduler", "sched_rr_get_interval",
    "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "sched_yield", "seccomp", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
    "setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32", "setresgid", "setresgid32",
    "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit", "set_robust_list", "setsid",
    "set_thread_area", "set_tid_address", "setuid", "setuid32", "sgetmask", "sigaction", "sigaltstack", "signal",
    "sigpending", "sigprocmask", "sigreturn", "sigsuspend", "ssetmask", "sysinfo", "tgkill", "time", "times", "tkill",
    "ugetrlimit", "uname", "vfork", "wait4", "waitid", "waitpid", "alarm", "uretprobe", "map_shadow_stack",
    "process_mrelease", "process_vm_readv", "process_vm_writev", "ptrace",
];

#[rustfmt::skip]
const MEMORY_AND_WAITING: &[&str] = &[
    "cachestat", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "futex", "futex_requeue", "futex_time64", "futex_wait",
    "futex_waitv", "futex_wake", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64",
    "io_setup", "io_submit", "madvise", "memfd_create", "memfd_secret", "mincore", "mlock", "mlock2", "mlockall",
    "mmap", "mmap2", "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "_newselect",
    "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "pselect6", "pselect6_time64",
    "remap_file_pages", "select", "signalfd", "signalfd4", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime",
    "timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
];

#[rustfmt::skip]
const TALKING: &[&str] = &[
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "ipc", "listen",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "recv", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "send", "sendmmsg",
    "sendmsg", "sendto", "setsockopt", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "socketpair",
];

/// Calls that a capability opens.
#[rustfmt::skip]
const BY_CAPABILITY: &[(Capability, &[&str])] = &[
    (Capability::DacReadSearch, &["open_by_handle_at"]),
    (Capability::SysAdmin, &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "listns",
        "lookup_dcookie", "mount", "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "perf_event_open",
        "pivot_root", "quotactl", "quotactl_fd", "setdomainname", "sethostname", "setns", "syslog",
        "umount", "umount2", "unshare",
    ]),
    (Capability::SysBoot, &["reboot", "kexec_load", "kexec_file_load"]),
    (Capability::SysChroot, &["chroot"]),
    (Capability::SysModule, &["create_module", "delete_module", "finit_module", "init_module", "query_module"]),
    (Capability::SysPacct, &["acct"]),
    (Capability::SysPtrace, &[
        "kcmp", "pidfd_getfd", "process_madvise",
    ]),
    (Capability::SysRawio, &["ioperm", "iopl"]),
    (Capability::SysTime, &[
        "clock_settime", "clock_settime64", "settimeofday", "stime",
    ]),
    (Capability::SysTtyConfig, &["vhangup"]),
    (Capability::SysNice, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages",
        "move_pages"]),
    (Capability::Syslog, &["syslog"]),
    (Capability::Bpf, &["bpf"]),
    (Capability::Perfmon, &["perf_event_open"]),
];

/// Known calls that nobody gets: EPERM says so, where ENOSYS would have programs guess.
#[rustfmt::skip]
const NEVER: &[&str] = &[
    "add_key", "keyctl", "request_key", "io_uring_enter", "io_uring_register", "io_uring_setup", "nfsservctl",
    "swapoff", "swapon", "sysfs", "_sysctl", "uselib", "userfaultfd", "ustat", "vm86", "vm86old", "get_kernel_syms",
    "lsm_set_self_attr",
];

/// The namespaces that clone(2) must not make: all `CLONE_NEW*` flags that fit its argument.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

/// Families of sockets that nobody gets: VSOCK reaches the hypervisor's side, ALG the kernel's cryptography, of
/// little use and with a history of holes.
const REFUSED_FAMILIES: [u64; 2] = [libc::AF_VSOCK as u64, libc::AF_ALG as u64];
/// More families than there are (`AF_MAX` of linux/socket.h is 46).
const FAMILIES: u64 = 64;
/// More questions than socketcall(2) knows.
const SOCKETCALLS: u64 = 32;

/// `SYS_SOCKET` of linux/net.h: what socketcall(2) is asked to do.
const SOCKETCALL_SOCKET: u64 = 1;

/// The default profile for a process with these capabilities in its bounding set.
///
/// clone3(2) passes its flags in memory, where a filter cannot see them: it answers ENOSYS, and C libraries use
/// clone(2) then.
///
/// Where a call's arguments decide, no rule of it is without arguments, and no two match together with another answer:
/// other runtimes, which use libseccomp, take no others. It also has all rules of socket(2) hold for one question of
/// socketcall(2), so these can only all allow.
pub fn default_profile(capabilities: &HashSet<Capability>) -> LinuxSeccomp {
    let mut allowed: Vec<&str> = [FILES, PROCESSES, MEMORY_AND_WAITING, TALKING].concat();
    let mut denied: Vec<&str> = NEVER.to_vec();
    for (capability, calls) in BY_CAPABILITY {
        if capabilities.contains(capability) { &mut allowed } else { &mut denied }.extend(*calls);
    }
    denied.retain(|call| !allowed.contains(call) && !matches!(*call, "clone" | "clone3"));
    let mut rules = vec![allow(&allowed, Vec::new()), deny(&denied, Vec::new())];
    if !capabilities.contains(&Capability::SysAdmin) {
        let no_namespace = arg(0, NAMESPACE_FLAGS, Some(0), LinuxSeccompOperator::ScmpCmpMaskedEq);
        rules.push(allow(&["clone"], vec![no_namespace]));
        for flag in (0..u64::BITS).map(|bit| 1 << bit).filter(|flag| NAMESPACE_FLAGS & flag != 0) {
            let made = arg(0, flag, Some(flag), LinuxSeccompOperator::ScmpCmpMaskedEq);
            rules.push(deny(&["clone"], vec![made]));
        }
    }
    for family in all_but(&REFUSED_FAMILIES, 0, FAMILIES) {
        rules.push(allow(&["socket"], vec![family]));
    }
    // socketcall(2) of 32-bit x86 has its arguments in memory, where a filter cannot see the family. C libraries make
    // sockets by socket(2) since Linux 4.3 has it there.
    rules.push(deny(&["socketcall"], vec![int_within(SOCKETCALL_SOCKET, 1)]));
    for question in all_but(&[SOCKETCALL_SOCKET], 0, SOCKETCALLS) {
        rules.push(allow(&["socketcall"], vec![question]));
    }
    // personality(2): Linux, 32-bit Linux, both with the release of 2.6, and the question what it is.
    for persona in [0, 0x8, 0x20000, 0x20008, 0xffff_ffff] {
        rules.push(allow(&["personality"], vec![arg(0, persona, None, LinuxSeccompOperator::ScmpCmpEq)]));
    }
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(libc::ENOSYS.unsigned_abs())
        .architectures([Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32])
        .syscalls(rules)
        .build()
        .unwrap_or_default()
}

fn allow(names: &[&str], args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    rule(names, LinuxSeccompAction::ScmpActAllow, args)
}

fn deny(names: &[&str], args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    rule(names, LinuxSeccompAction::ScmpActErrno, args)
}

fn rule(names: &[&str], action: LinuxSeccompAction, args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut rule = LinuxSyscallBuilder::default().names(names).action(action);
    if action == LinuxSeccompAction::ScmpActErrno {
        rule = rule.errno_ret(libc::EPERM.unsigned_abs());
    }
    if !args.is_empty() {
        rule = rule.args(args);
    }
    rule.build().unwrap_or_default()
}

/// The `len` numbers from `first` on, a power of two and a multiple of it, without those `refused`: each condition a
/// stretch of numbers of the same kind.
fn all_but(refused: &[u64], first: u64, len: u64) -> Vec<LinuxSeccompArg> {
    if !refused.iter().any(|number| (first..first + len).contains(number)) {
        return vec![int_within(first, len)];
    }
    if len == 1 {
        return Vec::new();
    }
    let half = len / 2;
    [all_but(refused, first, half), all_but(refused, first + half, half)].concat()
}

/// Whether the first argument, which the kernel takes as an int, is one of the `len` numbers from `first` on, as
/// [`all_but`] has them: the kernel ignores the upper half of the register.
fn int_within(first: u64, len: u64) -> LinuxSeccompArg {
    arg(0, 0xffff_ffff & !(len - 1), Some(first), LinuxSeccompOperator::ScmpCmpMaskedEq)
}

fn arg(index: usize, value: u64, value_two: Option<u64>, op: LinuxSeccompOperator) -> LinuxSeccompArg {
    let mut arg = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
    if let Some(value_two) = value_two {
        arg = arg.value_two(value_two);
    }
    arg.build().unwrap_or_default()
}
