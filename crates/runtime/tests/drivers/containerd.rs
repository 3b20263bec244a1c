//! containerd, through its runc shim, driven by ctr.

use std::fs;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{eventually, must, output, rootfs, terminal};

/// A containerd of its own.
struct Containerd {
    dir: TempDir,
    daemon: Child,
}

impl Containerd {
    fn start() -> Self {
        // Socket paths are short.
        let dir = tempfile::Builder::new().prefix("ctrd").tempdir_in("/tmp").unwrap();
        rootfs::make(&dir.path().join("rootfs"));
        let at = dir.path().display();
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{at}/sock\"\n[ttrpc]\naddress = \"{at}/sock.ttrpc\"\n"
        );
        fs::write(dir.path().join("config.toml"), config).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new("containerd");
        command.arg("--config").arg(dir.path().join("config.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let daemon = command.spawn().expect("containerd is needed");
        let containerd = Self { dir, daemon };
        eventually("containerd answers", || output(&mut containerd.ctr(&["version"])).status.success());
        containerd
    }

    fn ctr(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        // A namespace of its own: the shim keeps the runtime's state in /run/containerd/runc/NAMESPACE.
        command.arg("--address").arg(self.dir.path().join("sock")).args(["--namespace", &self.namespace()]);
        command.args(words);
        command
    }

    fn namespace(&self) -> String {
        format!("test-{}", self.daemon.id())
    }

    fn run(&self, options: &[&str], id: &str, words: &[&str]) -> Command {
        let mut command = self.ctr(&["run", "--runc-binary", &rootfs::runtime()]);
        command.args(options).arg("--rootfs").arg(self.dir.path().join("rootfs")).arg(id).args(words);
        command
    }

    fn must(&self, words: &[&str]) -> String {
        must(&mut self.ctr(words))
    }

    fn status(&self, id: &str) -> String {
        let list = self.must(&["task", "list"]);
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(id));
        line.and_then(|line| line.split_whitespace().nth(2)).unwrap_or_default().to_owned()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let ids = self.ctr(&["task", "list", "--quiet"]).output();
        for id in String::from_utf8_lossy(&ids.map(|output| output.stdout).unwrap_or_default()).lines() {
            let _ = self.ctr(&["task", "rm", "--force", id]).output();
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = fs::remove_dir_all(format!("/run/containerd/runc/{}", self.namespace()));
        // containerd leaves the group of its namespace, below which those of its tasks were.
        let root = std::path::Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        for hierarchy in hierarchies.chain([root.to_owned()]) {
            let _ = fs::remove_dir(hierarchy.join(self.namespace()));
        }
    }
}

#[test]
fn containerd_runs_a_container_and_gives_its_code() {
    let containerd = Containerd::start();
    assert_eq!(must(&mut containerd.run(&["--rm"], "a", &["echo", "hello"])), "hello\n");
    let failed = output(&mut containerd.run(&["--rm"], "b", &["sh", "-c", "exit 9"]));
    assert_eq!(failed.status.code(), Some(9));
    // The runtime's own message arrives: by the log, as JSON.
    let missing = output(&mut containerd.run(&["--rm"], "c", &["nosuch"]));
    let text = String::from_utf8_lossy(&missing.stderr);
    assert!(text.contains("OCI runtime create failed") && text.contains("\"nosuch\""), "{text}");
    assert_eq!(containerd.must(&["task", "list", "--quiet"]), "");
}

#[test]
fn containerd_takes_a_task_through_its_life() {
    let containerd = Containerd::start();
    let options = ["--detach", "--memory-limit", "67108864"];
    must(&mut containerd.run(&options, "t", &["sleep", "600"]));
    assert_eq!(containerd.status("t"), "RUNNING");
    assert_eq!(containerd.must(&["task", "exec", "--exec-id", "e", "t", "echo", "in"]), "in\n");
    let failed = output(&mut containerd.ctr(&["task", "exec", "--exec-id", "f", "t", "sh", "-c", "exit 4"]));
    assert_eq!(failed.status.code(), Some(4));
    assert_eq!(containerd.must(&["task", "ps", "t"]).lines().count(), 2);
    containerd.must(&["task", "pause", "t"]);
    assert_eq!(containerd.status("t"), "PAUSED");
    containerd.must(&["task", "resume", "t"]);
    assert_eq!(containerd.status("t"), "RUNNING");
    containerd.must(&["task", "kill", "--signal", "KILL", "t"]);
    eventually("it is stopped", || containerd.status("t") == "STOPPED");
    // ctr passes the task's own code on.
    let _ = output(&mut containerd.ctr(&["task", "rm", "t"]));
    containerd.must(&["container", "rm", "t"]);
    assert!(!fs::exists(format!("/run/containerd/runc/{}/t", containerd.namespace())).unwrap());
}

#[test]
fn containerd_talks_to_a_task_s_terminal() {
    let containerd = Containerd::start();
    let typed = &[("# ", "stty size\r"), ("33 77", "exit 6\r")];
    let (shown, code) = terminal::talk(&mut containerd.run(&["--rm", "--tty"], "t", &["sh"]), typed);
    assert_eq!(code, Some(6), "{shown}");
    must(&mut containerd.run(&["--detach"], "u", &["sleep", "600"]));
    let exec = ["task", "exec", "--tty", "--exec-id", "e", "u", "sh"];
    let (shown, code) = terminal::talk(&mut containerd.ctr(&exec), typed);
    assert_eq!(code, Some(6), "{shown}");
}
