//! Run inside a container, by copying this executable there: calls that busybox cannot make.

use std::fs;
use std::path::PathBuf;

use crate::bundle::{Bundle, copy_program};

/// Makes the bundle run the probe `name` of this module, or of another by its path.
pub(crate) fn probing(name: &str) -> Bundle {
    let bundle = Bundle::sh("");
    let exe = std::env::current_exe().unwrap();
    copy_program(&exe, &bundle.rootfs().join("bin/probe"));
    let test = if name.contains("::") { name.to_owned() } else { format!("probe::{name}") };
    let args = ["/bin/probe", "--ignored", "--exact", &test, "--nocapture", "--test-threads=1"];
    bundle.with("/process/args", serde_json::json!(args))
}

/// A forbidden call is refused by the filter before its nonsensical arguments are looked at.
#[test]
#[ignore = "runs inside a container"]
fn forbidden_calls() {
    let forbidden = [
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("pivot_root", libc::SYS_pivot_root),
        ("open_tree", libc::SYS_open_tree),
        ("move_mount", libc::SYS_move_mount),
        ("fsopen", libc::SYS_fsopen),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("unshare", libc::SYS_unshare),
        ("setns", libc::SYS_setns),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("request_key", libc::SYS_request_key),
        ("bpf", libc::SYS_bpf),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("kcmp", libc::SYS_kcmp),
        ("pidfd_getfd", libc::SYS_pidfd_getfd),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("io_uring_register", libc::SYS_io_uring_register),
        ("kexec_load", libc::SYS_kexec_load),
        ("kexec_file_load", libc::SYS_kexec_file_load),
        ("init_module", libc::SYS_init_module),
        ("finit_module", libc::SYS_finit_module),
        ("delete_module", libc::SYS_delete_module),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("swapon", libc::SYS_swapon),
        ("swapoff", libc::SYS_swapoff),
        ("reboot", libc::SYS_reboot),
        ("settimeofday", libc::SYS_settimeofday),
        ("clock_settime", libc::SYS_clock_settime),
        ("acct", libc::SYS_acct),
        ("iopl", libc::SYS_iopl),
        ("ioperm", libc::SYS_ioperm),
        ("quotactl", libc::SYS_quotactl),
        ("move_pages", libc::SYS_move_pages),
        ("fanotify_init", libc::SYS_fanotify_init),
        ("sethostname", libc::SYS_sethostname),
        ("syslog", libc::SYS_syslog),
    ];
    let mut allowed = Vec::new();
    for (name, number) in forbidden {
        if call(number, [-1; 6]) != libc::EPERM {
            allowed.push(name);
        }
    }
    // The system's answer to the address family would be EAFNOSUPPORT, EINVAL or success.
    for (name, family) in [("socket(AF_VSOCK)", 40), ("socket(AF_ALG)", 38)] {
        // The kernel looks at the lower half only.
        for family in [family, family | 1 << 32] {
            if call(libc::SYS_socket, [family, 1, 0, 0, 0, 0]) != libc::ENOSYS {
                allowed.push(name);
            }
        }
    }
    if call(libc::SYS_personality, [0x0040_0000, 0, 0, 0, 0, 0]) != libc::ENOSYS {
        allowed.push("personality(ADDR_NO_RANDOMIZE)");
    }
    for flag in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET] {
        if call(libc::SYS_clone, [i64::from(flag), 0, 0, 0, 0, 0]) != libc::EPERM {
            allowed.push("clone(CLONE_NEW*)");
        }
    }
    assert!(allowed.is_empty(), "allowed: {allowed:?}");
    assert_eq!(call(libc::SYS_clone3, [0; 6]), libc::ENOSYS);
    assert_eq!(call(100_000, [0; 6]), libc::ENOSYS);
    println!("all refused");
}

pub(crate) fn call(number: i64, args: [i64; 6]) -> i32 {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the calls are expected to be refused; allowed, these arguments name no memory of ours.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 { 0 } else { std::io::Error::last_os_error().raw_os_error().unwrap() }
}

/// Which of our descriptors are open: whatever is above 2 and was opened before the test harness looked.
#[test]
#[ignore = "runs inside a container"]
fn writes_to_the_runtime() {
    let mut opened = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let exe: PathBuf = entry.path().join("exe");
        let is_process = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        if is_process && fs::OpenOptions::new().write(true).open(&exe).is_ok() {
            opened.push(exe);
        }
    }
    assert!(opened.is_empty(), "{opened:?}");
    println!("none opened");
}

/// keyctl(2) `KEYCTL_GET_KEYRING_ID` of the session keyring, without making one; None where keys do not exist.
pub(crate) fn session_keyring() -> Option<i64> {
    const SPEC_SESSION: libc::c_long = -3;
    // SAFETY: takes numbers only.
    let id = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_GET_KEYRING_ID, SPEC_SESSION, 0) };
    let error = std::io::Error::last_os_error();
    match (id, error.raw_os_error()) {
        (-1, Some(libc::ENOSYS | libc::EPERM)) => None,
        (-1, _) => panic!("no session keyring: {error}"),
        (id, _) => Some(id),
    }
}

#[test]
#[ignore = "runs inside a container"]
fn names_its_session_keyring() {
    println!("keyring=<{}>", session_keyring().unwrap());
}

/// The id that [`names_its_session_keyring`] has printed.
pub(crate) fn keyring_in(stdout: &str) -> i64 {
    let id = stdout.split_once("keyring=<").and_then(|(_, rest)| rest.split_once('>'));
    id.unwrap_or_else(|| panic!("no keyring in {stdout}")).0.parse().unwrap()
}

/// The first process, an exec'd one and the host each have another.
#[test]
fn the_session_keyring_of_the_host_is_not_inherited() {
    let Some(host) = session_keyring() else {
        eprintln!("NOT TESTED: this host does not let keyctl(2) be used");
        return;
    };
    let unconfined = |bundle: Bundle| bundle.with("/linux/seccomp", serde_json::Value::Null);
    let first = keyring_in(&unconfined(probing("names_its_session_keyring")).stdout());
    let bundle = unconfined(probing("names_its_session_keyring"));
    let args: Vec<String> = serde_json::from_value(bundle.spec["process"]["args"].clone()).unwrap();
    let bundle = bundle.with("/process/args", serde_json::json!(["sleep", "60"]));
    bundle.start();
    let mut words = vec!["exec", bundle.id.as_str()];
    words.extend(args.iter().map(String::as_str));
    let second = keyring_in(&bundle.must(&words));
    assert!(host != first && host != second && first != second, "{host} {first} {second}");
}

#[test]
fn every_dangerous_call_is_refused_by_the_default_filter() {
    // With every capability, so that only the filter can be the one that refuses.
    let all = serde_json::to_value(gaufre_runtime::available_capabilities()).unwrap();
    let bundle = probing("forbidden_calls");
    let sets = serde_json::json!({"bounding": all, "permitted": all, "effective": all});
    let outcome = bundle.with("/process/capabilities", sets).run();
    assert!(outcome.stdout.contains("all refused"), "{outcome:?}");
}

#[test]
fn calls_that_a_capability_opens_come_with_it() {
    use oci_spec::runtime::Capability;
    let names = |set: &std::collections::HashSet<Capability>| {
        let profile = gaufre_runtime::seccomp::default_profile(set);
        let allow = profile.syscalls().as_ref().unwrap()[0].names().clone();
        (allow.contains(&"mount".to_owned()), allow.contains(&"kcmp".to_owned()))
    };
    assert_eq!(names(&[].into()), (false, false));
    assert_eq!(names(&[Capability::SysAdmin].into()), (true, false));
    assert_eq!(names(&[Capability::SysPtrace].into()), (false, true));
}
