//! Without root: as a user who owns nothing but a directory, with a user namespace of one id.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::bundle::{Bundle, Outcome, copy_program};
use crate::users::add_namespace;

/// nobody, on Debian and elsewhere.
pub(crate) const USER: u32 = 65534;

/// What `gaufre-oci spec --rootless` makes of the bundle, owned by the user.
pub(crate) fn rootless(script: &str) -> Bundle {
    let mut bundle = Bundle::sh(script);
    add_namespace(&mut bundle, json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    bundle.spec["linux"]["uidMappings"] = map.clone();
    bundle.spec["linux"]["gidMappings"] = map;
    bundle.spec["linux"].as_object_mut().unwrap().remove("resources");
    for mount in bundle.spec["mounts"].as_array_mut().unwrap() {
        mount["options"].as_array_mut().unwrap().retain(|option| option != "gid=5");
    }
    give(bundle.dir.path());
    bundle
}

pub(crate) fn give(path: &Path) {
    lchown(path, Some(USER), Some(USER)).unwrap();
    let is_dir = fs::symlink_metadata(path).unwrap().is_dir();
    for entry in is_dir.then(|| fs::read_dir(path).unwrap()).into_iter().flatten().flatten() {
        give(&entry.path());
    }
}

/// The test's own binary may be where the user cannot go.
pub(crate) fn copy_runtime(bundle: &Bundle, runtime: &OsStr) -> PathBuf {
    let program = bundle.dir.path().join("gaufre-oci");
    if !program.exists() {
        copy_program(Path::new(runtime), &program);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    program
}

fn as_user(bundle: &Bundle, words: &[&str]) -> Outcome {
    let command = bundle.oci(words);
    give(bundle.dir.path());
    let program = copy_runtime(bundle, command.get_program());
    // As root, this gives up all groups too.
    let mut user = Command::new(program);
    user.uid(USER).gid(USER);
    user.args(command.get_args()).current_dir(bundle.dir.path()).env("HOME", "/nonexistent");
    let log = bundle.dir.path().join("out");
    let file = fs::File::create(&log).unwrap();
    let error = fs::File::create(bundle.dir.path().join("err")).unwrap();
    user.stdin(Stdio::null()).stdout(file).stderr(error);
    let status = user.status().unwrap();
    Outcome {
        code: status.code().unwrap_or(-1),
        stdout: fs::read_to_string(log).unwrap(),
        stderr: fs::read_to_string(bundle.dir.path().join("err")).unwrap(),
    }
}

#[test]
fn a_user_runs_a_container_of_its_own() {
    let bundle = rootless(
        "id -u; cat /proc/self/uid_map; ls /dev/null /proc/1/comm; echo x > /dev/null; touch /made; hostname; cat /sys/class/net/lo/operstate",
    );
    let outcome = as_user(&bundle, &["run", &bundle.id]);
    let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "65534", "1", "/dev/null", "/proc/1/comm", "gaufre", "down"], "{outcome:?}");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(bundle.rootfs().join("made")).unwrap().uid(), USER);
    assert!(!bundle.state_dir().exists());
}

#[test]
fn a_user_creates_starts_executes_and_deletes() {
    let bundle = rootless("sleep 60");
    assert_eq!(as_user(&bundle, &["create", &bundle.id]).code, 0);
    assert_eq!(as_user(&bundle, &["start", &bundle.id]).code, 0);
    let outcome = as_user(
        &bundle,
        &[
            "exec",
            &bundle.id,
            "sh",
            "-c",
            "id -u; [ $(readlink /proc/self/ns/user) = $(readlink /proc/1/ns/user) ] && echo 1; ps | grep -c 'sleep 6[0]'; exit 5",
        ],
    );
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("0\n1\n1\n", 5), "{outcome:?}");
    let outcome = as_user(&bundle, &["exec", "-t", &bundle.id, "tty"]);
    assert_eq!(outcome.stdout.trim(), "/dev/pts/0", "{outcome:?}");
    let outcome = as_user(&bundle, &["delete", "-f", &bundle.id]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(!bundle.state_dir().exists());
}

#[test]
fn a_user_executes_in_a_container_that_shares_a_namespace_of_the_host() {
    for shared in ["network", "pid", "ipc", "uts", "cgroup"] {
        let mut bundle = rootless("sleep 60");
        let linux = &mut bundle.spec["linux"];
        linux["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != shared);
        linux.as_object_mut().unwrap().remove("sysctl");
        if shared == "uts" {
            bundle.spec.as_object_mut().unwrap().remove("hostname");
        }
        // Those show a namespace, and may be mounted only by who owns it.
        let mounts = bundle.spec["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !["mqueue", "cgroup"].contains(&mount["type"].as_str().unwrap()));
        let outcome = as_user(&bundle, &["run", "-d", &bundle.id]);
        assert_eq!(outcome.code, 0, "{shared}: {outcome:?}");
        let outcome = as_user(&bundle, &["exec", &bundle.id, "id", "-u"]);
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("0\n", 0), "{shared}: {outcome:?}");
        assert_eq!(as_user(&bundle, &["delete", "-f", &bundle.id]).code, 0, "{shared}");
    }
}

#[test]
fn masks_binds_and_a_terminal_work_without_root() {
    let mut bundle = rootless("cat /bound/file; wc -c < /masked; touch /fixed/x; tty");
    fs::create_dir(bundle.dir.path().join("dir")).unwrap();
    fs::write(bundle.dir.path().join("dir/file"), "bound\n").unwrap();
    fs::write(bundle.rootfs().join("masked"), "secret").unwrap();
    fs::create_dir(bundle.rootfs().join("fixed")).unwrap();
    bundle = bundle
        .with("/linux/maskedPaths", json!(["/masked", "/proc/keys", "/sys/firmware"]))
        .with("/linux/readonlyPaths", json!(["/fixed", "/proc/sys"]))
        .with("/process/terminal", json!(true))
        .mount(json!({"destination": "/bound", "type": "bind", "source": "dir", "options": ["rbind", "rro", "rnosuid", "rnodev"]}));
    let outcome = as_user(&bundle, &["run", &bundle.id]);
    let text = outcome.stdout.replace('\r', "");
    assert!(
        text.starts_with("bound\n0\n") && text.contains("Read-only") && text.ends_with("/dev/pts/0\n"),
        "{outcome:?}"
    );
}

#[test]
fn with_the_host_s_network_the_host_s_sysfs_is_shown_read_only() {
    let mut bundle = rootless("ls -d /sys/class/net/lo; touch /sys/kernel/x");
    bundle.spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .retain(|namespace| namespace["type"] != "network");
    bundle.spec["linux"].as_object_mut().unwrap().remove("sysctl");
    let outcome = as_user(&bundle, &["run", &bundle.id]);
    assert!(outcome.stdout.contains("/sys/class/net/lo"), "{outcome:?}");
}

#[test]
fn what_needs_more_than_the_user_has_is_said_clearly() {
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 10}]);
    let bundle = rootless("true").with("/linux/uidMappings", map);
    let outcome = as_user(&bundle, &["run", &bundle.id]);
    assert!(outcome.stderr.contains("newuidmap"), "{outcome:?}");
    let bundle = rootless("true").with("/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [7]}));
    let outcome = as_user(&bundle, &["run", &bundle.id]);
    assert!(outcome.stderr.contains("additionalGids"), "{outcome:?}");
    let mut bundle = rootless("true");
    bundle.spec["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .retain(|namespace| namespace["type"] != "user");
    bundle.spec["linux"].as_object_mut().unwrap().remove("uidMappings");
    bundle.spec["linux"].as_object_mut().unwrap().remove("gidMappings");
    let outcome = as_user(&bundle, &["run", &bundle.id]);
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("user namespace"), "{outcome:?}");
}
