//! containerd, through its runc shim, driven by ctr.

use std::fs;
use std::ops::Deref;
use std::process::Command;

use crate::daemon::Containerd;
use crate::{eventually, must, output, rootfs, terminal};

/// One without Kubernetes, with a root file system.
struct Plain(Containerd);

impl Deref for Plain {
    type Target = Containerd;

    fn deref(&self) -> &Containerd {
        &self.0
    }
}

impl Plain {
    fn start() -> Self {
        let containerd =
            Containerd::start(|_| "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]".to_owned());
        rootfs::make(&containerd.dir.path().join("rootfs"));
        Self(containerd)
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

#[test]
fn containerd_runs_a_container_and_gives_its_code() {
    let containerd = Plain::start();
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
    let containerd = Plain::start();
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
    let containerd = Plain::start();
    let typed = &[("# ", "stty size\r"), ("33 77", "exit 6\r")];
    let (shown, code) = terminal::talk(&mut containerd.run(&["--rm", "--tty"], "t", &["sh"]), typed);
    assert_eq!(code, Some(6), "{shown}");
    must(&mut containerd.run(&["--detach"], "u", &["sleep", "600"]));
    let exec = ["task", "exec", "--tty", "--exec-id", "e", "u", "sh"];
    let (shown, code) = terminal::talk(&mut containerd.ctr(&exec), typed);
    assert_eq!(code, Some(6), "{shown}");
}
