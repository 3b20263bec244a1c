//! exec: its options, and the process file of conmon and containerd.

use std::fs;
use std::os::fd::AsRawFd;

use serde_json::json;

use crate::bundle::{Bundle, eventually};

fn running() -> Bundle {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    bundle
}

#[test]
fn a_process_file_says_everything() {
    let bundle = running();
    let file = bundle.dir.path().join("process.json");
    let process = json!({
        "args": ["sh", "-c", "id -u; id -G; pwd; echo $X; exit 6"], "cwd": "/tmp", "env": ["PATH=/bin", "X=y"],
        "user": {"uid": 5, "gid": 6, "additionalGids": [7]}
    });
    fs::write(&file, process.to_string()).unwrap();
    let outcome = bundle.try_verb(&["exec", "--process", file.to_str().unwrap(), &bundle.id]);
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("5\n6 7\n/tmp\ny\n", 6), "{outcome:?}");
    fs::write(&file, "{").unwrap();
    assert_eq!(bundle.try_verb(&["exec", "-p", file.to_str().unwrap(), &bundle.id]).code, 255);
}

#[test]
fn options_change_the_container_s_own_process() {
    let bundle = running();
    let id = bundle.id.as_str();
    let out = |words: &[&str]| {
        let mut all = vec!["exec"];
        all.extend_from_slice(words);
        bundle.must(&all)
    };
    assert_eq!(out(&["-u", "8:9", "-g", "10", "-g", "11", id, "id", "-G"]), "9 10 11\n");
    assert_eq!(out(&["--user", "8", id, "sh", "-c", "id -u; id -g"]), "8\n0\n");
    assert_eq!(
        out(&["--cwd=/usr", "-e", "A=1", "--env", "B=2", id, "sh", "-c", "pwd; echo $A$B"]),
        "/usr\n12\n"
    );
    let caps = |words: &[&str]| {
        let mut all = words.to_vec();
        all.extend([id, "sh", "-c", "grep CapEff /proc/self/status"]);
        u64::from_str_radix(out(&all).split_whitespace().last().unwrap(), 16).unwrap()
    };
    let net_raw = 1 << 13;
    assert_eq!((caps(&[]) & net_raw, caps(&["--cap", "CAP_NET_RAW"]) & net_raw), (0, net_raw));
    assert_eq!(bundle.try_verb(&["exec", "--cap", "CAP_NOSUCH", id, "true"]).code, 255);
    assert_eq!(bundle.try_verb(&["exec", "--user", "root", id, "true"]).code, 255);
    assert_eq!(bundle.try_verb(&["exec", id]).code, 255);
}

#[test]
fn detached_it_runs_on_and_its_id_is_on_file() {
    let bundle = running();
    let file = bundle.dir.path().join("exec.pid");
    let words = [
        "exec",
        "-d",
        "--pid-file",
        file.to_str().unwrap(),
        &bundle.id,
        "sh",
        "-c",
        "echo $$ > /pid; sleep 60",
    ];
    // Not `output`: the process keeps the streams open.
    let status = bundle.oci(&words).stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success());
    let pid = fs::read_to_string(&file).unwrap();
    assert!(!file.with_extension("pid.new").exists());
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let inside = || fs::read_to_string(bundle.rootfs().join("pid")).unwrap_or_default();
    // The file is there before what it holds.
    eventually("it runs", || inside().ends_with('\n'));
    let inside = inside();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert_eq!(ids.split_whitespace().collect::<Vec<_>>(), [pid.as_str(), inside.trim()]);
}

#[test]
fn descriptors_are_passed_on_request_and_sockets_are_announced() {
    let bundle = running();
    let file = bundle.dir.path().join("text");
    fs::write(&file, "from a descriptor\n").unwrap();
    let with_fd_3 = |prefix: &str, words: &str| {
        let runtime = bundle.oci(&[]);
        let mut line = format!("{prefix} exec {}", runtime.get_program().to_str().unwrap());
        for word in runtime.get_args() {
            line.push_str(&format!(" {}", word.to_str().unwrap()));
        }
        line.push_str(&format!(" {words} 3<{}", file.display()));
        let output = std::process::Command::new("sh").arg("-c").arg(line).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let id = &bundle.id;
    assert_eq!(with_fd_3("", &format!("exec --preserve-fds 1 {id} sh -c 'cat <&3'")), "from a descriptor\n");
    let listening = with_fd_3("LISTEN_FDS=1", &format!("exec {id} sh -c 'cat <&3; echo $LISTEN_FDS'"));
    assert_eq!(listening, "from a descriptor\n1\n");
    assert_eq!(with_fd_3("", &format!("exec {id} sh -c '[ -e /proc/self/fd/3 ] && cat <&3'")), "");
    let closed = fs::File::open("/dev/null").unwrap().as_raw_fd();
    assert!(closed >= 3);
    assert_eq!(bundle.try_verb(&["exec", "--preserve-fds", "60", id, "true"]).code, 255);
}

#[test]
fn a_container_that_was_only_created_takes_processes_too() {
    let bundle = Bundle::sh("sleep 60");
    bundle.create();
    assert_eq!(bundle.must(&["exec", &bundle.id, "echo", "early"]), "early\n");
    assert_eq!(bundle.status(), "created");
}

#[test]
fn a_group_below_is_entered_on_request_or_where_the_container_has_moved_to_one() {
    // In a mount namespace of its own, with cgroup v2 only. The container's first process goes into a group below and
    // the controllers are handed on: from then on the group itself takes no process.
    let script = r#"
        set -e
        mount --make-rprivate /; umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
        "$@" run -d "$ID" > /dev/null
        group=/sys/fs/cgroup/gaufre/$ID
        mkdir "$group/first" "$group/other"
        "$@" exec --cgroup first "$ID" cat /proc/self/cgroup
        "$@" exec "$ID" cat /proc/self/cgroup
        "$@" exec --cgroup nosuch "$ID" true && exit 1
        cat "$group/cgroup.procs" > "$group/first/cgroup.procs"
        echo +hugetlb > "$group/cgroup.subtree_control"
        "$@" exec "$ID" cat /proc/self/cgroup
        "$@" exec --cgroup other "$ID" cat /proc/self/cgroup
        "$@" delete --force "$ID"
        test ! -e "$group"
    "#;
    let mut bundle = Bundle::sh("").with("/process/args", json!(["sleep", "60"]));
    bundle.spec["linux"].as_object_mut().unwrap().remove("resources");
    let runtime = bundle.oci(&[]);
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(runtime.get_program()).args(runtime.get_args());
    let output = command.env("ID", &bundle.id).current_dir(bundle.dir.path()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    let groups: Vec<&str> = stdout.lines().filter_map(|line| line.strip_prefix("0::")).collect();
    assert_eq!(groups, ["/first", "/", "/first", "/other"], "{stdout}{stderr}");
}
