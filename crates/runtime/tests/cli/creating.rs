//! create and run: their options, and what is left when they are cut off.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;

use crate::bundle::{Bundle, eventually};

#[test]
fn the_terminal_of_a_created_container_goes_through_the_console_socket() {
    let bundle = Bundle::sh("read line; echo got $line").with("/process/terminal", json!(true));
    let path = bundle.dir.path().join("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = bundle.oci(&["create", "--console-socket", path.to_str().unwrap(), &bundle.id]);
    let mut create = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    // It holds the writing ends as well.
    drop(command);
    let master = receive_fd(&listener);
    assert!(create.wait().unwrap().success());
    // containerd's shim reads to the end before it starts the container.
    assert_eq!(
        reader.read_to_string(&mut String::new()).unwrap(),
        0,
        "the container keeps its creator's streams"
    );
    bundle.must(&["start", &bundle.id]);
    let mut master = fs::File::from(master);
    master.write_all(b"waffles\n").unwrap();
    let mut text = Vec::new();
    // The other side's end is an error on a terminal.
    let _ = master.read_to_end(&mut text);
    assert!(String::from_utf8_lossy(&text).contains("got waffles"));
}

fn receive_fd(listener: &UnixListener) -> OwnedFd {
    let (stream, _) = listener.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let received =
        recvmsg(&stream, &mut [std::io::IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty())
            .unwrap();
    assert!(received.bytes > 0, "a stream carries descriptors beside data only");
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .unwrap()
}

#[test]
fn a_terminal_and_a_console_socket_go_together() {
    let plain = Bundle::sh("true");
    let outcome = plain.try_in_bundle(&["create", "--console-socket", "/x", &plain.id]);
    assert!(outcome.code == 1 && outcome.stderr.contains("--console-socket"), "{outcome:?}");
    let terminal = Bundle::sh("true").with("/process/terminal", json!(true));
    for words in [&["create", &terminal.id][..], &["run", "-d", &terminal.id]] {
        let outcome = terminal.try_in_bundle(words);
        assert!(outcome.code == 1 && outcome.stderr.contains("--console-socket"), "{outcome:?}");
    }
    assert!(!terminal.state_dir().exists());
}

#[test]
fn what_cannot_be_delivered_leaves_nothing() {
    let bundle = Bundle::sh("true");
    let outcome = bundle.try_in_bundle(&["create", "--pid-file", "/no/such/dir/pid", &bundle.id]);
    assert!(outcome.code == 1 && outcome.stderr.contains("/no/such/dir/pid"), "{outcome:?}");
    assert!(!bundle.state_dir().exists() && bundle.cgroups().is_empty());
}

#[test]
fn the_pid_file_names_the_first_process() {
    let bundle = Bundle::sh("sleep 60");
    let file = bundle.dir.path().join("pid");
    let words = ["run", "--detach", "--pid-file", file.to_str().unwrap(), &bundle.id];
    assert!(bundle.oci(&words).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(fs::read_to_string(file).unwrap(), bundle.pid().to_string());
    assert_eq!(bundle.status(), "running");
}

#[test]
fn the_pid_file_needs_no_second_name_and_replaces_an_older_one() {
    let bundle = Bundle::sh("sleep 60");
    let dir = bundle.dir.path().join("pids");
    fs::create_dir_all(dir.join("pid.new")).unwrap();
    let file = dir.join("pid");
    fs::write(&file, "1234567890123").unwrap();
    let words = ["run", "--detach", "--pid-file", file.to_str().unwrap(), &bundle.id];
    let mut command = bundle.oci(&words);
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(fs::read_to_string(file).unwrap(), bundle.pid().to_string());
    assert_eq!(fs::read_dir(dir).unwrap().count(), 2);
}

#[test]
fn what_is_kept_is_not_deleted() {
    let bundle = Bundle::sh("exit 3");
    assert_eq!(bundle.try_in_bundle(&["run", "--keep", &bundle.id]).code, 3);
    assert_eq!(bundle.status(), "stopped");
    bundle.must(&["delete", &bundle.id]);
}

#[test]
fn a_container_runs_without_pivot_and_without_a_cgroup() {
    let bundle = Bundle::sh("ls /");
    let words = ["run", "--no-pivot", "--no-new-keyring", "--no-subreaper", &bundle.id];
    let outcome = bundle.try_in_bundle(&words);
    assert_eq!(outcome.stdout, "bin\ndev\netc\nproc\nsys\ntmp\nusr\n", "{outcome:?}");
    let mut bundle = Bundle::sh("sleep 60");
    bundle.spec["linux"].as_object_mut().unwrap().remove("resources");
    let words = ["--cgroup-manager", "disabled", "run", "-d", &bundle.id];
    assert!(bundle.oci(&words).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(bundle.status(), "running");
    assert!(bundle.cgroups().is_empty());
    assert_eq!(bundle.must(&["exec", &bundle.id, "echo", "in"]), "in\n");
    bundle.must(&["delete", "--force", &bundle.id]);
}

#[test]
fn where_nobody_sees_to_the_device_rules_no_device_can_be_made() {
    let rules = json!([{"allow": false, "access": "rwm"}]);
    let script =
        "mknod /tmp/k c 10 232 && : < /tmp/k && echo opened; grep CapBnd /proc/self/status; sleep 60";
    let mut bundle = Bundle::sh(script).with("/linux/resources", json!({"devices": rules}));
    for set in ["bounding", "effective", "permitted"] {
        // As podman's containers without cgroups have them.
        bundle.spec["process"]["capabilities"][set] = json!(["CAP_MKNOD", "CAP_CHOWN"]);
    }
    let log = fs::File::create(bundle.dir.path().join("log")).unwrap();
    let mut command = bundle.oci(&["--cgroup-manager", "disabled", "run", "-d", &bundle.id]);
    assert!(command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap().success());
    let said = || fs::read_to_string(bundle.dir.path().join("log")).unwrap();
    eventually("it has tried", || said().contains("CapBnd"));
    assert!(said().contains("mknod: ") && !said().contains("opened"), "{}", said());
    assert!(said().contains("CapBnd:\t0000000000000001"), "{}", said());
    assert!(said().contains("CAP_MKNOD is left out"), "{}", said());
    let outcome = bundle.exec("mknod /tmp/k c 10 232");
    assert!(outcome.code != 0 && outcome.stderr.contains("mknod: "), "{outcome:?}");
}

#[test]
fn a_state_below_a_long_path_works() {
    let bundle = Bundle::sh("sleep 60");
    let root = bundle.dir.path().join("a-long-name-".repeat(8));
    let root = root.to_str().unwrap();
    let run = |words: &[&str]| {
        let runtime = bundle.oci(&[]).get_program().to_owned();
        let mut command = Command::new(runtime);
        command.args(["--root", root]).args(words).current_dir(bundle.dir.path());
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{words:?}");
    };
    run(&["create", &bundle.id]);
    run(&["start", &bundle.id]);
    run(&["delete", "--force", &bundle.id]);
    assert!(!Path::new(root).join(&bundle.id).exists());
}

/// A socket at which nobody gets any further: its queue is full.
fn busy_socket(path: &Path) -> [OwnedFd; 2] {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let address = SocketAddrUnix::new(path).unwrap();
    let socket = |flags| {
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags | SocketFlags::CLOEXEC, None)
            .unwrap()
    };
    let listener = socket(SocketFlags::empty());
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let first = socket(SocketFlags::empty());
    rustix::net::connect(&first, &address).unwrap();
    let next = socket(SocketFlags::NONBLOCK);
    assert_eq!(rustix::net::connect(&next, &address), Err(rustix::io::Errno::AGAIN), "the queue is full");
    [listener, first]
}

#[test]
fn deleting_a_container_whose_making_was_cut_off_leaves_the_one_in_its_cgroup_alone() {
    let group =
        |bundle: Bundle, name: &str| bundle.with("/linux/cgroupsPath", json!(format!("/gaufre/{name}")));
    let first = Bundle::sh("sleep 60");
    let name = first.id.clone();
    let first = group(first, &name);
    first.start();
    let socket = first.dir.path().join("agent.sock");
    // It waits for the agent, which is before it looks whether the group is in use.
    let _held = busy_socket(&socket);
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": socket,
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    });
    let second = group(Bundle::sh("sleep 60"), &name).with("/linux/seccomp", seccomp);
    let mut command = second.oci(&["create", &second.id]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it is noted down", || second.state_dir().join("state.json").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // Nobody is there to be killed.
    assert_ne!(second.try_verb(&["kill", "--all", &second.id, "KILL"]).code, 0);
    second.must(&["delete", &second.id]);
    assert!(!second.state_dir().exists());
    assert_eq!(first.status(), "running");
}

#[test]
fn a_container_deleted_while_it_is_made_takes_nothing_from_the_next_of_its_name() {
    let mut bundle = Bundle::sh("sleep 60");
    let dir = bundle.dir.path().to_str().unwrap().to_owned();
    let script = format!("touch {dir}/in; while [ ! -e {dir}/go ]; do sleep 0.05; done");
    bundle.spec["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
    let mut command = bundle.oci(&["create", &bundle.id]);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("its hook runs", || Path::new(&dir).join("in").exists());
    bundle.must(&["delete", "--force", &bundle.id]);
    bundle.spec.as_object_mut().unwrap().remove("hooks");
    bundle.create();
    fs::write(Path::new(&dir).join("go"), "").unwrap();
    assert!(!first.wait().unwrap().success());
    assert_eq!(bundle.status(), "created");
    bundle.must(&["start", &bundle.id]);
}

#[test]
fn a_container_deleted_in_the_foreground_takes_nothing_from_the_next_of_its_name() {
    let bundle = Bundle::sh("touch /started; sleep 60");
    let mut command = bundle.oci(&["run", &bundle.id]);
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = bundle.rootfs().join("started");
    eventually("it runs", || started.exists());
    // It cannot see the end of its container before the next one is there.
    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    bundle.must(&["delete", "--force", &bundle.id]);
    bundle.create();
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(137));
    assert_eq!(bundle.status(), "created");
}

#[test]
fn all_who_delete_a_container_at_the_same_time_succeed() {
    let mut bundle = Bundle::sh("true");
    bundle.spec["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", "sleep 0.2"]}]});
    bundle.create();
    let delete = || bundle.bare(&["delete", "--force", &bundle.id]).spawn().unwrap();
    for mut child in [delete(), delete(), delete()] {
        assert!(child.wait().unwrap().success());
    }
    assert!(!bundle.state_dir().exists());
}

#[test]
fn without_pivot_a_later_process_is_in_the_container_too() {
    for hooks in [json!({}), json!({"createRuntime": [{"path": "/bin/true"}]})] {
        let bundle = Bundle::sh("sleep 600").with("/hooks", hooks);
        let log = fs::File::create(bundle.dir.path().join("log")).unwrap();
        let mut create = bundle.oci(&["create", "--no-pivot", &bundle.id]);
        assert!(create.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap().success());
        bundle.must(&["start", &bundle.id]);
        let inside = bundle.exec("ls /");
        assert_eq!(inside.stdout, "bin\ndev\netc\nproc\nsys\ntmp\nusr\n", "{inside:?}");
    }
}
