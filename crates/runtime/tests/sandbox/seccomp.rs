//! Filters: the default profile call by call, and calls that an agent answers.

use std::collections::HashSet;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use oci_spec::runtime::{LinuxSeccompAction, LinuxSyscall};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::probe::{call, probing};

/// Makes every call that the default profile denies, and some that do not exist, and compares the answers with the
/// profile. Arguments that no call takes, should one get through after all.
#[test]
#[ignore = "runs inside a container"]
fn makes_every_denied_call() {
    let profile = gaufre_runtime::seccomp::default_profile(&gaufre_runtime::spec::default_capabilities());
    let rules: Vec<&LinuxSyscall> = profile.syscalls().iter().flatten().collect();
    let calls = gaufre_runtime::seccomp::system_calls();
    let numbers: HashSet<u32> = calls.iter().map(|(_, number)| *number).collect();
    let mut tried = 0;
    let mut wrong = Vec::new();
    let mut expect = |name: &str, number: u32, errno: i32| {
        let found = call(number.into(), [-1; 6]);
        tried += 1;
        if found != errno {
            wrong.push(format!("{name} ({number}): {found} instead of {errno}"));
        }
    };
    for (name, number) in calls {
        let about: Vec<_> =
            rules.iter().filter(|rule| rule.names().iter().any(|other| other == name)).collect();
        let unconditional = about.iter().find(|rule| rule.args().is_none());
        match (unconditional, about.is_empty()) {
            (Some(rule), _) if rule.action() == LinuxSeccompAction::ScmpActErrno && about.len() == 1 => {
                expect(name, *number, rule.errno_ret().unwrap_or(1).cast_signed());
            }
            // The kernel itself exempts it from all filters, for it is made by its own probes (Linux 6.18).
            (None, true) if *name == "uprobe" => {}
            (None, true) => expect(name, *number, libc::ENOSYS),
            // Allowed, or a matter of the arguments: the profile's other tests are about those.
            _ => {}
        }
    }
    for number in (0..700).filter(|number| !numbers.contains(number)) {
        expect("a number without a call", number, libc::ENOSYS);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{tried} calls refused");
}

#[test]
fn the_default_profile_refuses_every_call_that_it_denies() {
    // With every capability, so that only the filter can be the one that refuses.
    let all = serde_json::to_value(gaufre_runtime::available_capabilities()).unwrap();
    let sets = json!({"bounding": all, "permitted": all, "effective": all});
    let outcome = probing("seccomp::makes_every_denied_call").with("/process/capabilities", sets).run();
    let refused = outcome.stdout.lines().find_map(|line| line.strip_suffix(" calls refused"));
    let refused: u32 = refused.and_then(|count| count.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
    assert!(refused > 300, "{outcome:?}");
}

/// `struct seccomp_notif` and `struct seccomp_notif_resp` of linux/seccomp.h.
#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction_pointer: u64,
    args: [u64; 6],
}

#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// Takes one filter's descriptor at `socket` and answers calls of `refused` by EXDEV and all others by letting them
/// go on, until nobody is under the filter any more. Gives what the runtime said.
fn agent(socket: &UnixListener, refused: i64) -> Value {
    const RECV: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    const CONTINUE: u32 = 1;
    let (connection, _) = socket.accept().unwrap();
    let mut text = Vec::new();
    let mut listener: Option<OwnedFd> = None;
    loop {
        let mut bytes = vec![0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut bytes)];
        let got = recvmsg(&connection, slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                listener = listener.into_iter().chain(fds).next();
            }
        }
        if got == 0 {
            break;
        }
        text.extend_from_slice(&bytes[..got]);
    }
    let said: Value = serde_json::from_slice(&text).unwrap();
    let listener = listener.expect("a descriptor came with the words");
    loop {
        let mut polled = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut polled, None).unwrap();
        if polled[0].revents().contains(rustix::event::PollFlags::HUP) {
            return said;
        }
        let mut notification = Notification::default();
        // SAFETY: the structures are the kernel's own of these two calls.
        if unsafe { libc::ioctl(listener.as_raw_fd(), RECV, &raw mut notification) } != 0 {
            continue;
        }
        let refuse = i64::from(notification.number) == refused;
        let answer = Answer {
            id: notification.id,
            value: 0,
            error: if refuse { -libc::EXDEV } else { 0 },
            flags: if refuse { 0 } else { CONTINUE },
        };
        // SAFETY: as above. It fails where the caller was killed meanwhile.
        unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const answer) };
    }
}

fn handing_over(calls: &[&str], socket: &Path, script: &str) -> Bundle {
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": socket,
        "listenerMetadata": "some words",
        "syscalls": [{"names": calls, "action": "SCMP_ACT_NOTIFY"}],
    });
    Bundle::sh(script).with("/linux/seccomp", seccomp)
}

#[test]
fn an_agent_is_handed_the_filter_with_the_container_s_state_and_answers_its_calls() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let bundle = handing_over(&["mkdir"], &path, "mkdir /tmp/x; ls /tmp; echo done")
        .with("/annotations", json!({"some": "annotation"}));
    let agent = std::thread::spawn(move || agent(&socket, libc::SYS_mkdir));
    let outcome = bundle.run();
    assert_eq!(outcome.stdout, "done\n", "{outcome:?}");
    assert!(outcome.stderr.contains("cross-device link"), "{outcome:?}");
    let said = agent.join().unwrap();
    assert_eq!((&said["fds"], &said["metadata"]), (&json!(["seccompFd"]), &json!("some words")));
    assert_eq!(
        (&said["state"]["id"], &said["state"]["annotations"]["some"]),
        (&json!(bundle.id), &json!("annotation"))
    );
    assert!(said["ociVersion"].is_string() && said["state"]["bundle"].is_string(), "{said}");
    assert!(said["pid"].as_i64().is_some_and(|pid| pid > 1) && said["pid"] == said["state"]["pid"], "{said}");
}

/// The calls by which the runtime hands the filter over, and goes on, are handed over themselves.
#[test]
fn calls_that_hand_the_filter_over_can_be_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let calls = ["sendmsg", "write", "close", "execve", "futex", "poll", "ppoll", "mkdir"];
    let bundle = handing_over(&calls, &path, "mkdir /tmp/x; echo done");
    let agent = std::thread::spawn(move || agent(&socket, libc::SYS_mkdir));
    // Started by another command than the one that made it.
    bundle.start();
    let said = agent.join().unwrap();
    assert_eq!(said["state"]["status"], "created");
    let log = std::fs::read_to_string(bundle.dir.path().join("log")).unwrap();
    assert!(log.contains("cross-device link") && log.contains("done"), "{log}");
}

/// The agent gets a descriptor for each process: its own id, and the container's state.
#[test]
fn an_executed_process_s_filter_is_handed_to_the_agent_too() {
    let ptrace = json!({"bounding": ["CAP_SYS_PTRACE"]});
    // The second is made by a process in the middle, out of the sight of the container's own.
    for capabilities in [json!({}), ptrace] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let socket = std::sync::Arc::new(UnixListener::bind(&path).unwrap());
        let calls = ["sendmsg", "write", "close", "execve", "mkdir"];
        let bundle = handing_over(&calls, &path, "sleep 60")
            .with("/annotations", json!({"some": "annotation"}))
            .with("/process/capabilities", capabilities);
        let answers = |socket: &std::sync::Arc<UnixListener>| {
            let socket = socket.clone();
            std::thread::spawn(move || agent(&socket, libc::SYS_mkdir))
        };
        let first = answers(&socket);
        bundle.start();
        let second = answers(&socket);
        let outcome = bundle.exec("mkdir /tmp/x; echo $$; ls /tmp; readlink /proc/self/exe");
        let said = second.join().unwrap();
        assert!(outcome.stderr.contains("cross-device link"), "{outcome:?}");
        assert!(outcome.stdout.ends_with("/bin/busybox\n"), "{outcome:?}");
        let state = &said["state"];
        assert_eq!((&state["id"], &state["pid"]), (&json!(bundle.id), &json!(bundle.pid())));
        assert_eq!(
            (&state["status"], &state["annotations"]["some"]),
            (&json!("running"), &json!("annotation"))
        );
        assert_eq!((&said["fds"], &said["metadata"]), (&json!(["seccompFd"]), &json!("some words")));
        assert!(said["pid"].as_i64().is_some_and(|pid| pid > 1) && said["pid"] != state["pid"], "{said}");
        bundle.must(&["kill", &bundle.id, "KILL"]);
        assert_eq!(first.join().unwrap()["pid"], state["pid"]);
    }
}

#[test]
fn a_process_is_not_executed_when_the_agent_of_its_filter_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let bundle = handing_over(&["mkdir"], &path, "sleep 60");
    let first = std::thread::spawn(move || agent(&socket, libc::SYS_mkdir));
    bundle.start();
    bundle.must(&["kill", &bundle.id, "0"]);
    std::fs::remove_file(&path).unwrap();
    let outcome = bundle.exec("echo executed");
    assert!(outcome.code == 255 && outcome.stdout.is_empty(), "{outcome:?}");
    assert!(outcome.stderr.contains("listenerPath"), "{outcome:?}");
    bundle.must(&["kill", &bundle.id, "KILL"]);
    first.join().unwrap();
}

#[test]
fn a_filter_whose_agent_is_not_there_is_refused_before_anything_is_made() {
    let error = handing_over(&["mkdir"], Path::new("/no/such/agent.sock"), "true").failure();
    assert!(error.contains("listenerPath /no/such/agent.sock"), "{error}");
}

#[test]
fn what_is_wrong_with_a_filter_is_named() {
    for (seccomp, words) in [
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 5}), "defaultErrnoRet"),
        (json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x"}), "defaultAction"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}), "listenerMetadata"),
        (json!({"defaultAction": "SCMP_ACT_NOTHING"}), "SCMP_ACT_NOTHING"),
        (json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]}), "SCMP_ARCH_Z80"),
        (
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_FAST"]}),
            "SECCOMP_FILTER_FLAG_FAST",
        ),
    ] {
        let error = Bundle::sh("true").with("/linux/seccomp", seccomp).failure();
        assert!(error.contains(words), "{error}");
    }
}
