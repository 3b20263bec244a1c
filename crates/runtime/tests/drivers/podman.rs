//! podman, through conmon.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::{eventually, must, output, rootfs, terminal};

/// A podman of its own: storage, state and configuration, all gone with it.
struct Podman {
    dir: TempDir,
}

impl Podman {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        rootfs::make(&dir.path().join("rootfs"));
        let config = "[engine]\nruntime_supports_json = [\"gaufre-oci\"]\nruntime_supports_nocgroup = [\"gaufre-oci\"]\n\
            events_logger = \"file\"\ncgroup_manager = \"cgroupfs\"\n[engine.runtimes]\ngaufre-oci = [";
        fs::write(dir.path().join("containers.conf"), format!("{config}{:?}]\n", rootfs::runtime())).unwrap();
        Self { dir }
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", path("containers.conf"));
        command.arg("--root").arg(path("root")).arg("--runroot").arg(path("run"));
        command.arg("--tmpdir").arg(path("tmp"));
        command.args(["--storage-driver", "vfs", "--runtime", "gaufre-oci"]).args(words);
        command
    }

    /// `podman run` with what this machine can give, and then `words`.
    fn run(&self, options: &[&str], words: &[&str]) -> Command {
        let mut command = self.command(&["run", "--network", "none", "--log-driver", "k8s-file"]);
        // podman's own wish is more than a machine may have.
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]).args(options);
        command.arg("--rootfs").arg(self.dir.path().join("rootfs")).args(words);
        command
    }

    fn must(&self, words: &[&str]) -> String {
        must(&mut self.command(words))
    }

    fn state(&self, name: &str) -> String {
        self.must(&["inspect", name, "--format", "{{.State.Status}} {{.State.ExitCode}}"]).trim().to_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Whatever the test left running.
        let _ = self.command(&["rm", "--force", "--time", "0", "--all"]).output();
    }
}

#[test]
fn podman_runs_a_container_and_gives_its_code() {
    let podman = Podman::new();
    assert_eq!(must(&mut podman.run(&["--rm"], &["echo", "hello"])), "hello\n");
    for (words, code) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["nosuch"], 127),
        (&["/etc"], 126),
        (&["sh", "-c", "kill -9 $$; sleep 1"], 0),
    ] {
        let output = output(&mut podman.run(&["--rm"], words));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert_eq!(podman.must(&["ps", "--all", "--quiet"]), "");
}

#[test]
fn podman_takes_a_container_through_its_life() {
    let podman = Podman::new();
    let script = "echo out; echo err >&2; trap 'exit 3' TERM; while :; do sleep 0.1; done";
    must(&mut podman.run(&["--detach", "--name", "c", "--memory", "64m"], &["sh", "-c", script]));
    let logs = || {
        let output = output(&mut podman.command(&["logs", "c"]));
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    eventually("the logs", || logs().0 == "out\n" && logs().1.ends_with("err\n"));
    assert_eq!(podman.must(&["exec", "c", "echo", "in"]), "in\n");
    for (words, code) in [(&["sh", "-c", "exit 4"][..], 4), (&["nosuch"], 127), (&["/etc"], 126)] {
        let output = output(podman.command(&["exec", "c"]).args(words));
        assert_eq!(
            output.status.code(),
            Some(code),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    podman.must(&["exec", "--detach", "c", "sh", "-c", "echo > /tmp/detached"]);
    eventually("the detached process", || podman.dir.path().join("rootfs/tmp/detached").exists());

    podman.must(&["pause", "c"]);
    assert_eq!(podman.state("c"), "paused 0");
    podman.must(&["unpause", "c"]);
    assert!(podman.must(&["top", "c"]).contains("echo out"));
    podman.must(&["stop", "--time", "20", "c"]);
    assert_eq!(podman.state("c"), "exited 3");
    podman.must(&["start", "c"]);
    podman.must(&["kill", "c"]);
    assert_eq!(podman.must(&["wait", "c"]), "137\n");
    podman.must(&["rm", "c"]);
}

#[test]
fn podman_talks_to_a_container_s_terminal() {
    let podman = Podman::new();
    let typed = &[("# ", "stty size\r"), ("33 77", "exit 6\r")];
    let (shown, code) = terminal::talk(&mut podman.run(&["--rm", "--interactive", "--tty"], &["sh"]), typed);
    assert_eq!(code, Some(6), "{shown}");
    must(&mut podman.run(&["--detach", "--name", "c"], &["sleep", "600"]));
    let (shown, code) =
        terminal::talk(&mut podman.command(&["exec", "--interactive", "--tty", "c", "sh"]), typed);
    assert_eq!(code, Some(6), "{shown}");
}

#[test]
fn podman_does_without_a_cgroup() {
    // podman asks for this on cgroup v2 only, so it sees nothing else, in a mount namespace of its own.
    let script = "mount --make-rprivate / && umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && \
        exec \"$@\"";
    let podman = Podman::new();
    let run = podman.run(&["--rm", "--cgroups=disabled"], &["sh", "-c", "cat /proc/self/cgroup; echo hello"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(run.get_program()).args(run.get_args());
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let text = must(&mut command);
    assert!(text.ends_with("hello\n") && !text.contains("gaufre"), "{text}");
}
