//! Hooks: when, where, and what becomes of one that fails.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bundle::{Bundle, eventually};

/// A hook that appends a line to the file `log` beside the bundle: its stage, where it is, and the state it was told.
fn noting(bundle: &Bundle, stage: &str, more: &str) -> Value {
    let log = log(bundle);
    let log = log.display();
    let script = format!("read -r state; echo {stage} $(readlink /proc/self/ns/mnt) $state >> {log}; {more}");
    json!({"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]})
}

fn log(bundle: &Bundle) -> PathBuf {
    bundle.dir.path().join("hooks.log")
}

fn lines(bundle: &Bundle) -> Vec<String> {
    fs::read_to_string(log(bundle)).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The state that the hook of a line was told.
fn state(line: &str) -> Value {
    serde_json::from_str(line.splitn(3, ' ').nth(2).unwrap()).unwrap()
}

fn with_all(bundle: Bundle) -> Bundle {
    let stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    let mut hooks: serde_json::Map<String, Value> =
        stages.iter().map(|stage| ((*stage).to_owned(), json!([noting(&bundle, stage, "")]))).collect();
    let inside = json!({"path": "/bin/sh", "args": ["sh", "-c", "read -r state; echo startContainer $(readlink /proc/self/ns/mnt) $state > /tmp/inside; id -u >> /tmp/inside"],
        "env": ["PATH=/bin"]});
    hooks.insert("startContainer".to_owned(), json!([inside]));
    bundle.with("/hooks", Value::Object(hooks)).with("/annotations", json!({"org.example.key": "value"}))
}

/// As Docker makes a container's network: by a hook.
#[test]
fn settings_of_a_network_interface_that_a_hook_makes_are_set() {
    let script = "pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); \
        exec nsenter --net=/proc/$pid/ns/net ip link add eth0 type veth peer name eth1";
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]});
    let bundle =
        Bundle::sh("cat /proc/sys/net/ipv4/conf/eth0/arp_announce /proc/sys/net/ipv4/conf/eth1/arp_announce")
            .with("/hooks", json!({"createRuntime": [hook]}))
            .with("/linux/sysctl", json!({"net.ipv4.conf.eth0.arp_announce": "2"}));
    assert_eq!(bundle.stdout(), "2\n0\n");
}

#[test]
fn every_hook_runs_once_in_its_place_with_the_state_on_standard_input() {
    let bundle = with_all(Bundle::sh("echo workload >> /tmp/inside; sleep 60"));
    bundle.create();
    let stages = |bundle: &Bundle| -> Vec<String> {
        lines(bundle).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(stages(&bundle), ["prestart", "createRuntime", "createContainer"]);
    let inside = bundle.rootfs().join("tmp/inside");
    assert!(!inside.exists(), "the hook before the workload ran before the start");
    let pid = bundle.pid();
    bundle.must(&["start", &bundle.id]);
    assert_eq!(stages(&bundle), ["prestart", "createRuntime", "createContainer", "poststart"]);
    eventually("the workload", || fs::read_to_string(&inside).unwrap().contains("workload"));
    bundle.must(&["delete", "-f", &bundle.id]);
    let lines = lines(&bundle);
    let host = fs::read_link("/proc/self/ns/mnt").unwrap().to_string_lossy().into_owned();
    for (line, (status, inside, seen)) in lines.iter().zip([
        ("created", false, pid),
        ("creating", false, pid),
        ("creating", true, 1),
        ("running", false, pid),
        ("stopped", false, 0),
    ]) {
        let state = state(line);
        assert_eq!(state["status"], status, "{line}");
        assert_eq!(state["pid"], seen, "{line}");
        assert_eq!(state["id"], bundle.id.as_str(), "{line}");
        assert_eq!(state["bundle"], bundle.dir.path().to_str().unwrap(), "{line}");
        assert_eq!(state["annotations"], json!({"org.example.key": "value"}), "{line}");
        assert_eq!(line.split(' ').nth(1).unwrap() != host, inside, "{line}");
    }
    assert_eq!(lines.len(), 5, "{lines:?}");
    let text = fs::read_to_string(inside).unwrap();
    let mut text = text.lines();
    let first = text.next().unwrap();
    assert_eq!((state(first)["status"].as_str(), state(first)["pid"].as_i64()), (Some("created"), Some(1)));
    assert_eq!((text.next(), text.next()), (Some("0"), Some("workload")));
}

#[test]
fn run_runs_every_hook_too() {
    let bundle = with_all(Bundle::sh("true"));
    assert_eq!(bundle.run().code, 0);
    let stages: Vec<_> =
        lines(&bundle).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(stages, ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]);
}

#[test]
fn a_hook_before_the_root_is_entered_sees_it_mounted_in_the_bundle() {
    let bundle = Bundle::sh("cat /made");
    let script =
        "grep -c \" $PWD/rootfs/proc proc \" /proc/mounts >> hooks.log; echo by a hook > rootfs/made";
    let hook = json!({"path": "/bin/busybox", "args": ["sh", "-c", script]});
    let bundle = bundle.with("/hooks", json!({"createContainer": [hook]}));
    assert_eq!(bundle.stdout(), "by a hook\n");
    assert_eq!(lines(&bundle), ["1"]);
}

#[test]
fn a_hook_that_fails_ends_the_sandbox_says_what_it_printed_and_the_poststop_hooks_run() {
    for stage in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        let bundle = Bundle::sh("sleep 60");
        let failing =
            json!({"path": "/bin/busybox", "args": ["busybox", "sh", "-c", "echo the reason >&2; exit 3"]});
        let never = noting(&bundle, "never", "");
        let last = noting(&bundle, "poststop", "");
        let mut hooks = json!({"poststop": [last]});
        hooks[stage] = if stage == "startContainer" {
            json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo the reason; exit 3"]}])
        } else {
            json!([failing, never])
        };
        let bundle = bundle.with("/hooks", hooks);
        let error = bundle.failure();
        assert!(error.contains(&format!("hooks.{stage}")), "{error}");
        assert!(error.contains("the reason") && error.contains('3'), "{error}");
        let lines = lines(&bundle);
        assert_eq!(lines.len(), 1, "{stage}: {lines:?}");
        assert!(lines[0].starts_with("poststop "), "{lines:?}");
    }
}

#[test]
fn a_poststop_hook_that_fails_is_a_warning_and_the_next_one_runs() {
    let bundle = Bundle::sh("true");
    let next = noting(&bundle, "next", "");
    let bundle =
        bundle.with("/hooks", json!({"poststop": [{"path": "/bin/false"}, {"path": "/no/such"}, next]}));
    assert_eq!(bundle.run().code, 0);
    assert_eq!(lines(&bundle).len(), 1);
    assert!(!bundle.state_dir().exists());
}

#[test]
fn a_hook_that_takes_too_long_is_killed_with_its_children() {
    let bundle = Bundle::sh("true");
    let pids = bundle.dir.path().join("pids");
    let script = format!("sleep 1000 & echo $! > {0}; echo $$ >> {0}; wait", pids.display());
    let hook =
        json!({"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin"], "timeout": 1});
    let bundle = bundle.with("/hooks", json!({"createRuntime": [hook]}));
    let error = bundle.failure();
    assert!(error.contains("hooks.createRuntime") && error.contains("within 1 s"), "{error}");
    let text = fs::read_to_string(pids).unwrap();
    for pid in text.lines() {
        let gone = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        eventually("the hook's processes are gone", gone);
    }
}

#[test]
fn a_hook_that_reads_nothing_and_prints_much_does_not_stop_anything() {
    let script = "dd if=/dev/zero bs=64k count=32 2>/dev/null";
    let hook =
        json!({"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin"], "timeout": 60});
    let annotation: String = "x".repeat(200_000);
    let bundle = Bundle::sh("echo fine").with("/hooks", json!({"createRuntime": [hook]}));
    assert_eq!(bundle.with("/annotations", json!({"long": annotation})).stdout(), "fine\n");
}

#[test]
fn a_hook_has_only_its_own_environment_and_three_descriptors() {
    let bundle = Bundle::sh("true");
    let log = log(&bundle);
    let script = format!(
        "env | grep -v -E '^(PWD|SHLVL|PATH)=' >> {0}; ls /proc/self/fd | wc -l >> {0}",
        log.display()
    );
    let hook = json!({"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["A=b c"]});
    let bundle = bundle.with("/hooks", json!({"prestart": [hook]}));
    let mut shell = std::process::Command::new("/bin/busybox");
    let command = bundle.oci(&["run", &bundle.id]);
    shell.args(["sh", "-c", "exec 9</; exec \"$0\" \"$@\" 9</"]);
    shell.arg(command.get_program()).args(command.get_args()).current_dir(bundle.dir.path());
    assert!(shell.stdin(std::process::Stdio::null()).status().unwrap().success());
    // ls itself opens the directory: the fourth.
    assert_eq!(lines(&bundle), ["A=b c", "4"]);
}

#[test]
fn what_cannot_be_a_hook_is_refused_by_name_before_anything_is_made() {
    for (hook, word) in [
        (json!({"path": "bin/true"}), "absolute"),
        (json!({"path": "/bin/true", "timeout": 0}), "timeout"),
        (json!({"path": "/bin/true", "env": ["novalue"]}), "NAME=value"),
    ] {
        let bundle = Bundle::sh("true").with("/hooks", json!({"poststop": [hook]}));
        let error = bundle.failure();
        assert!(error.contains("hooks.poststop") && error.contains(word), "{error}");
    }
}
