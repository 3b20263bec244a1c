//! User namespaces, idmapped mounts, and namespaces that are joined.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use serde_json::{Value, json};

use crate::bundle::Bundle;

const FIRST: u32 = 100_000;

/// The bundle in a user namespace of its own, whose root owns the root file system.
pub(crate) fn mapped(bundle: Bundle) -> Bundle {
    give(&bundle.rootfs());
    let map = json!([{"containerID": 0, "hostID": FIRST, "size": 65536}]);
    let mut bundle = bundle.with("/linux/uidMappings", map.clone()).with("/linux/gidMappings", map);
    add_namespace(&mut bundle, json!({"type": "user"}));
    bundle
}

fn give(dir: &Path) {
    std::os::unix::fs::lchown(dir, Some(FIRST), Some(FIRST)).unwrap();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        std::os::unix::fs::lchown(entry.path(), Some(FIRST), Some(FIRST)).unwrap();
        if entry.file_type().unwrap().is_dir() {
            give(&entry.path());
        }
    }
}

pub(crate) fn add_namespace(bundle: &mut Bundle, namespace: Value) {
    let list = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|other| other["type"] != namespace["type"]);
    list.push(namespace);
}

#[test]
fn a_user_namespace_has_the_asked_maps_and_owns_the_others() {
    let bundle = mapped(Bundle::sh(
        "cat /proc/self/uid_map /proc/self/gid_map; id -u; touch /tmp/made; hostname; \
         ls /dev/null /dev/pts/ptmx /sys/class/net; echo x > /dev/null; cat /proc/self/oom_score_adj",
    ))
    .with("/process/oomScoreAdj", json!(123));
    let out = bundle.stdout();
    let words: Vec<&str> = out.split_whitespace().collect();
    let map = ["0", "100000", "65536"];
    assert_eq!(words[..6], [map, map].concat(), "{out}");
    assert_eq!(words[6..], ["0", "gaufre", "/dev/null", "/dev/pts/ptmx", "/sys/class/net:", "lo", "123"]);
    let made = fs::metadata(bundle.rootfs().join("tmp/made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (FIRST, FIRST));
}

#[test]
fn the_workload_s_user_is_a_mapped_one_and_one_that_is_not_is_an_error() {
    let script = "id -u; id -G; cut -d ' ' -f 1 /proc/self/uid_map > /dev/null && echo ok";
    let user = json!({"uid": 1000, "gid": 1001, "additionalGids": [7]});
    let bundle = mapped(Bundle::sh(script)).with("/process/user", user);
    assert_eq!(bundle.stdout(), "1000\n1001 7\nok\n");
    let error = mapped(Bundle::sh("true")).with("/process/user", json!({"uid": 70_000, "gid": 0})).failure();
    assert!(error.contains("70000"), "{error}");
}

#[test]
fn a_map_without_root_serves_a_workload_that_is_not_root() {
    let map = json!([{"containerID": 1000, "hostID": FIRST, "size": 1}]);
    let bundle = mapped(Bundle::sh("id -u; cat /proc/self/uid_map"))
        .with("/linux/uidMappings", map.clone())
        .with("/linux/gidMappings", map)
        .with("/process/user", json!({"uid": 1000, "gid": 1000}));
    let mut bundle = bundle;
    // The group of terminals is not mapped.
    for mount in bundle.spec["mounts"].as_array_mut().unwrap() {
        mount["options"].as_array_mut().unwrap().retain(|option| option != "gid=5");
    }
    let out = bundle.stdout();
    assert_eq!(out.split_whitespace().collect::<Vec<_>>(), ["1000", "1000", "100000", "1"]);
}

#[test]
fn exec_and_a_terminal_work_in_a_user_namespace() {
    let bundle = mapped(Bundle::sh("sleep 60"));
    bundle.start();
    let script = "id -u; [ $(readlink /proc/self/ns/user) = $(readlink /proc/1/ns/user) ] && echo same; touch /tmp/x && echo made";
    let outcome = bundle.exec(script);
    assert_eq!(outcome.stdout, "0\nsame\nmade\n", "{outcome:?}");
    let outcome = bundle.try_verb(&["exec", "-t", &bundle.id, "tty"]);
    assert_eq!(outcome.stdout.trim(), "/dev/pts/0", "{outcome:?}");
    assert_eq!(fs::metadata(bundle.rootfs().join("tmp/x")).unwrap().uid(), FIRST);
    let bundle = mapped(Bundle::sh("tty; stat -c %u /dev/console")).with("/process/terminal", json!(true));
    assert_eq!(bundle.stdout().replace('\r', ""), "/dev/pts/0\n0\n");
}

#[test]
fn maps_that_cannot_be_are_refused_by_name() {
    let one = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let mut without = Bundle::sh("true");
    add_namespace(&mut without, json!({"type": "user"}));
    assert!(without.failure().contains("linux.uidMappings"));
    let error =
        Bundle::sh("true").with("/linux/uidMappings", one.clone()).with("/linux/gidMappings", one).failure();
    assert!(error.contains("user namespace"), "{error}");
    let overlapping =
        json!([{"containerID": 0, "hostID": FIRST, "size": 9}, {"containerID": 5, "hostID": 0, "size": 9}]);
    let error = mapped(Bundle::sh("true")).with("/linux/uidMappings", overlapping).failure();
    assert!(error.contains("could not map the user ids"), "{error}");
}

#[test]
fn a_user_namespace_is_joined_before_the_others_are_made_in_it() {
    let first = mapped(Bundle::sh("sleep 60"));
    first.start();
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", first.pid());
    let script = "readlink /proc/self/ns/user; readlink /proc/self/ns/net; readlink /proc/self/ns/pid; id -u; cat /proc/self/comm; echo $$";
    let mut second = Bundle::sh(script);
    give(&second.rootfs());
    for kind in ["user", "network"] {
        let name = if kind == "network" { "net" } else { kind };
        add_namespace(&mut second, json!({"type": kind, "path": path(name)}));
    }
    let out = second.stdout();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], fs::read_link(path("user")).unwrap().to_string_lossy());
    assert_eq!(lines[1], fs::read_link(path("net")).unwrap().to_string_lossy());
    assert_ne!(lines[2], fs::read_link(path("pid")).unwrap().to_string_lossy());
    assert_eq!(lines[3..], ["0", "cat", "1"]);
    // And the PID namespace as well.
    add_namespace(&mut second, json!({"type": "pid", "path": path("pid")}));
    let out = second.stdout();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[2], fs::read_link(path("pid")).unwrap().to_string_lossy());
    assert_ne!(lines[5], "1");
}

#[test]
fn a_new_user_namespace_and_a_network_namespace_of_the_host_go_together() {
    let first = Bundle::sh("sleep 60");
    first.start();
    let net = format!("/proc/{}/ns/net", first.pid());
    let mut bundle = mapped(Bundle::sh("readlink /proc/self/ns/net; cat /proc/self/uid_map"));
    add_namespace(&mut bundle, json!({"type": "network", "path": net}));
    // A sysfs shows a network namespace, which is not this user namespace's: the host's is not shown instead.
    bundle.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/sys"));
    let out = bundle.stdout();
    assert!(out.starts_with(&*fs::read_link(net).unwrap().to_string_lossy()), "{out}");
    assert!(out.contains("100000"), "{out}");
}

#[test]
fn cgroup_time_and_mount_namespaces_are_joined_by_path() {
    let mut first = Bundle::sh("mkdir /tmp/seen; sleep 60");
    add_namespace(&mut first, json!({"type": "time"}));
    first.start();
    let path = |kind: &str| format!("/proc/{}/ns/{kind}", first.pid());
    let mut second = Bundle::sh("for n in cgroup time; do readlink /proc/self/ns/$n; done");
    for kind in ["cgroup", "time"] {
        add_namespace(&mut second, json!({"type": kind, "path": path(kind)}));
    }
    let expected: String =
        ["cgroup", "time"].map(|kind| format!("{}\n", fs::read_link(path(kind)).unwrap().display())).concat();
    assert_eq!(second.stdout(), expected);

    // The mount namespace of a process that lives where the host does.
    let mut holder = std::process::Command::new("unshare").args(["--mount", "sleep", "60"]).spawn().unwrap();
    let path = format!("/proc/{}/ns/mnt", holder.id());
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    crate::bundle::eventually("the namespace", || fs::read_link(&path).is_ok_and(|other| other != own));
    let mut third = Bundle::sh("readlink /proc/self/ns/mnt; ls /; sleep 60");
    add_namespace(&mut third, json!({"type": "mount", "path": path}));
    third.start();
    let outcome = third.exec("readlink /proc/self/ns/mnt; ls /");
    let expected =
        format!("{}\nbin\ndev\netc\nproc\nsys\ntmp\nusr\n", fs::read_link(&path).unwrap().display());
    let log = third.dir.path().join("log");
    crate::bundle::eventually("the first process", || fs::read_to_string(&log).unwrap().contains("usr"));
    let said = fs::read_to_string(log).unwrap();
    drop(third);
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(outcome.stdout, expected, "{outcome:?}");
    assert_eq!(said, expected);
}

#[test]
fn a_namespace_of_another_type_and_what_is_none_are_refused_before_anything_is_made() {
    for kind in ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"] {
        let other = if kind == "uts" { "/proc/self/ns/ipc" } else { "/proc/self/ns/uts" };
        for (path, word) in
            [(other, "of type"), ("/etc/passwd", "not a namespace"), ("/proc/self/ns/none", "cannot be used")]
        {
            let mut bundle = Bundle::sh("true");
            add_namespace(&mut bundle, json!({"type": kind, "path": path}));
            let error = bundle.failure();
            assert!(error.contains(path) && error.contains(word), "{kind} {path}: {error}");
        }
    }
}

#[test]
fn the_clocks_of_a_time_namespace_have_their_offsets() {
    let days = 1000 * 86400;
    let mut bundle = Bundle::sh("cut -d . -f 1 /proc/uptime; cat /proc/self/timens_offsets; sleep 60").with(
        "/linux/timeOffsets",
        json!({"boottime": {"secs": days, "nanosecs": 5}, "monotonic": {"secs": 7}}),
    );
    add_namespace(&mut bundle, json!({"type": "time"}));
    bundle.start();
    let log = bundle.dir.path().join("log");
    crate::bundle::eventually("the clocks", || fs::read_to_string(&log).unwrap().contains("boottime"));
    let out = fs::read_to_string(log).unwrap();
    let mut words = out.split_whitespace();
    assert!(words.next().unwrap().parse::<i64>().unwrap() > days, "{out}");
    let words: Vec<&str> = words.collect();
    assert_eq!(words, ["monotonic", "7", "0", "boottime", &days.to_string(), "5"]);
    // An executed process lives in the same time.
    let uptime = bundle.exec("cut -d . -f 1 /proc/uptime").stdout;
    assert!(uptime.trim().parse::<i64>().unwrap() > days, "{uptime}");
    let mapped = mapped(Bundle::sh("cut -d . -f 1 /proc/uptime"))
        .with("/linux/timeOffsets", json!({"boottime": {"secs": days}}));
    let mut mapped = mapped;
    add_namespace(&mut mapped, json!({"type": "time"}));
    assert!(mapped.stdout().trim().parse::<i64>().unwrap() > days);
    let error = Bundle::sh("true").with("/linux/timeOffsets", json!({"boottime": {"secs": 1}})).failure();
    assert!(error.contains("linux.timeOffsets"), "{error}");
}

/// On a tmpfs, as in the test VM, ids can be mapped since Linux 6.3.
fn tmpfs_maps_no_ids(path: &Path) -> bool {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    let kind = rustix::fs::statfs(path).unwrap().f_type;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    kind == RAMFS_MAGIC || (kind == TMPFS_MAGIC && version < (6, 3))
}

#[test]
fn an_idmapped_mount_shows_its_files_as_the_container_s_own() {
    let bundle = mapped(Bundle::sh("stat -c '%u %g' /own /given /plain; touch /own/new"));
    for name in ["own", "given", "plain"] {
        let dir = bundle.dir.path().join(name);
        fs::create_dir(&dir).unwrap();
        chown(&dir, Some(7), Some(8)).unwrap();
    }
    chown(bundle.dir.path().join("own"), Some(0), Some(0)).unwrap();
    let given = json!([{"containerID": 7, "hostID": FIRST + 70, "size": 2}]);
    let bundle = bundle
        .mount(json!({"destination": "/own", "type": "bind", "source": "own", "options": ["bind", "idmap"]}))
        .mount(
            json!({"destination": "/given", "type": "bind", "source": "given", "options": ["rbind", "ridmap"],
            "uidMappings": given, "gidMappings": given}),
        )
        .mount(json!({"destination": "/plain", "type": "bind", "source": "plain", "options": ["bind"]}));
    for name in ["own", "given", "plain"] {
        fs::create_dir(bundle.rootfs().join(name)).unwrap();
    }
    if tmpfs_maps_no_ids(bundle.dir.path()) {
        let error = bundle.failure();
        assert!(error.contains("cannot be mounted with mapped ids"), "{error}");
        return;
    }
    assert_eq!(bundle.stdout(), "0 0\n70 71\n65534 65534\n");
    let new = fs::metadata(bundle.dir.path().join("own/new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (0, 0));
}

#[test]
fn an_idmapped_mount_without_a_map_and_one_of_a_file_system_that_cannot_are_errors() {
    let mount = json!({"destination": "/x", "type": "bind", "source": "/usr", "options": ["bind", "idmap"]});
    let error = Bundle::sh("true").mount(mount).failure();
    assert!(error.contains("/x") && error.contains("map ids"), "{error}");
    let map = json!([{"containerID": 0, "hostID": 5, "size": 1}]);
    let mount = json!({"destination": "/x", "type": "bind", "source": "/proc/self", "options": ["bind"],
        "uidMappings": map, "gidMappings": map});
    let error = Bundle::sh("true").mount(mount).failure();
    assert!(error.contains("/proc/self") && error.contains("mapped ids"), "{error}");
}
