//! A sandbox without a mount namespace: config-linux.md, "Namespaces", has it use the runtime's.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::bundle::{Bundle, eventually};

fn without_mount_namespace(mut bundle: Bundle) -> Bundle {
    bundle.spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .retain(|namespace| namespace["type"] != "mount");
    bundle
}

/// The mounts of ours that name `bundle`'s directory, where its state is as well.
fn left(bundle: &Bundle) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = bundle.dir.path().to_str().unwrap();
    text.lines().filter(|line| line.contains(dir)).map(str::to_owned).collect()
}

#[test]
fn without_a_mount_namespace_the_sandbox_has_its_root_and_leaves_no_mount() {
    let bundle = without_mount_namespace(Bundle::sh("ls /; readlink /proc/self/ns/mnt; sleep 600"));
    bundle.start();
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let expected = format!("bin\ndev\netc\nproc\nsys\ntmp\nusr\n{}\n", own.display());
    let log = bundle.dir.path().join("log");
    eventually("the workload", || fs::read_to_string(&log).unwrap() == expected);
    assert_eq!(bundle.exec("ls /; readlink /proc/self/ns/mnt").stdout, expected);
    assert!(!left(&bundle).is_empty());
    bundle.must(&["kill", &bundle.id, "KILL"]);
    eventually("it is stopped", || bundle.status() == "stopped");
    bundle.must(&["delete", &bundle.id]);
    assert_eq!(left(&bundle), Vec::<String>::new());
    assert!(!bundle.state_dir().exists());
}

/// It may be that nothing of the container is left but its mounts, in a namespace that others live in.
#[test]
fn mounts_in_a_namespace_that_is_joined_go_with_a_failure() {
    let mut holder = Command::new("unshare").args(["--mount", "sleep", "600"]).spawn().unwrap();
    let path = format!("/proc/{}/ns/mnt", holder.id());
    let mountinfo = format!("/proc/{}/mountinfo", holder.id());
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    eventually("the namespace", || fs::read_link(&path).is_ok_and(|other| other != own));
    let before = fs::read_to_string(&mountinfo).unwrap();
    let bundle = || {
        let mut bundle = without_mount_namespace(Bundle::sh("true"));
        let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({"type": "mount", "path": path}));
        bundle
    };
    let mut failures = Vec::new();
    let mut fail = |bundle: &Bundle, words: &[&str]| {
        let outcome = bundle.try_in_bundle(words);
        failures.push((outcome.code, outcome.stderr, fs::read_to_string(&mountinfo).unwrap() == before));
    };
    // By the container's process, by the runtime, and after all is made.
    let missing = bundle().with("/process/args", json!(["/no/such"]));
    fail(&missing, &["create", &missing.id]);
    let mut hooked = bundle();
    hooked.spec["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]});
    fail(&hooked, &["create", &hooked.id]);
    let unwritten = bundle();
    fail(&unwritten, &["create", "--pid-file", "/no/such/dir/pid", &unwritten.id]);
    holder.kill().unwrap();
    holder.wait().unwrap();
    for (index, word) in ["/no/such", "hook", "pid file"].into_iter().enumerate() {
        let (code, stderr, as_before) = &failures[index];
        assert!(*code == 1 && stderr.contains(word), "{stderr}");
        assert!(as_before, "mounts are left after: {stderr}");
    }
}

#[test]
fn mounts_in_the_runtime_s_namespace_do_not_spread_and_go_with_a_failure() {
    // The state's directory on a mount that another mount namespace gets everything from.
    let bundle = without_mount_namespace(Bundle::sh("sleep 600"));
    let dir = bundle.dir.path().to_str().unwrap().to_owned();
    let shell = |script: &str| {
        let output = Command::new("sh").args(["-euc", script, "sh", &dir]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    };
    shell("mount --bind \"$1\" \"$1\"; mount --make-private \"$1\"; mount --make-shared \"$1\"");
    let mut peer =
        Command::new("unshare").args(["--mount", "--propagation=slave", "sleep", "600"]).spawn().unwrap();
    let mountinfo = format!("/proc/{}/mountinfo", peer.id());
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    let namespace = format!("/proc/{}/ns/mnt", peer.id());
    eventually("the peer", || fs::read_link(&namespace).is_ok_and(|other| other != own));
    let seen = || {
        let text = fs::read_to_string(&mountinfo).unwrap();
        text.lines().filter(|line| line.contains(&format!("{dir}/state"))).count()
    };

    bundle.create();
    let while_it_is = seen();
    bundle.must(&["delete", &bundle.id]);
    let afterwards = seen();
    let failing = bundle.with("/process/args", json!(["/no/such"]));
    let error = failing.failure();
    let after_a_failure = (seen(), left(&failing).len());
    shell("umount \"$1\"");
    peer.kill().unwrap();
    peer.wait().unwrap();
    assert_eq!((while_it_is, afterwards), (1, 0), "the root alone, and nothing afterwards");
    assert!(error.contains("/no/such"), "{error}");
    assert_eq!(after_a_failure, (0, 1), "what is left is the bind mount of this test");
}

#[test]
fn a_user_namespace_needs_a_mount_namespace() {
    let mut bundle = without_mount_namespace(Bundle::sh("true"));
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let bundle = bundle.with("/linux/uidMappings", ids.clone()).with("/linux/gidMappings", ids);
    let error = bundle.failure();
    assert!(error.contains("mount namespace"), "{error}");
}
