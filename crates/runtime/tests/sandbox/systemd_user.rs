//! Without root, and groups that the user's own systemd makes: one is started in a group that is given to the user, as
//! systemd gives one to everybody who logs in.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::bundle::{Bundle, Outcome, eventually};
use crate::rootless::{USER, copy_runtime, give, rootless};
use crate::systemd::{program, remove_groups, test_group};

/// A user's service manager, and the group that the user owns, with one for the manager and one for everything else.
struct Manager {
    unshare: Child,
    manager: Option<Child>,
    pid: i32,
    group: PathBuf,
    _units: TempDir,
}

/// The first process of the namespaces that both are in.
const BEGIN: &str = "
    mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run || exit 1
    mkdir -p /run/systemd/system \"$XDG_RUNTIME_DIR\" && chown \"$OWNER:$OWNER\" \"$XDG_RUNTIME_DIR\" || exit 1
    [ -d /sys/fs/cgroup/unified ] && mount -t cgroup2 cgroup2 /sys/fs/cgroup
    echo > /run/ready; while :; do sleep 60; done";

impl Manager {
    fn start() -> Self {
        let units = tempfile::tempdir().unwrap();
        fs::set_permissions(units.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let target = "[Unit]\nDescription=Test\nDefaultDependencies=no\n";
        fs::write(units.path().join("gaufre-test.target"), target).unwrap();
        let group = test_group(&units);
        // Where there are controllers, one shows whether they can be used.
        let _ = fs::write(group.join("cgroup.subtree_control"), "+pids");
        for dir in [group.clone(), group.join("manager"), group.join("caller")] {
            fs::create_dir_all(&dir).unwrap();
            for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                lchown(dir.join(name), Some(USER), Some(USER)).unwrap();
            }
        }
        let unshare = Command::new("unshare")
            .args(["-m", "-p", "-f", "sh", "-c", BEGIN])
            .env("XDG_RUNTIME_DIR", runtime_dir())
            .env("OWNER", USER.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut manager = Self { unshare, manager: None, pid: 0, group, _units: units };
        eventually("the namespaces are there", || {
            let children = format!("/proc/{0}/task/{0}/children", manager.unshare.id());
            let children = fs::read_to_string(children).unwrap_or_default();
            manager.pid = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
            manager.pid != 0 && manager.root().join("run/ready").exists()
        });
        // Alone in its group, for it to pass controllers on: nsenter(1) stays behind in the other one.
        let own = Path::new("/sys/fs/cgroup").join(manager.group.file_name().unwrap()).join("manager");
        let script = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
        let mut systemd = manager.as_user(Path::new("/bin/sh"));
        systemd.args(["-c", script]).arg(own).arg(program()).args(["--user", "--unit=gaufre-test.target"]);
        systemd.env("SYSTEMD_UNIT_PATH", manager._units.path());
        manager.manager = Some(systemd.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let socket = manager.root().join(&runtime_dir()[1..]).join("systemd/private");
        eventually("the user's systemd is there", || socket.exists());
        manager
    }

    fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid))
    }

    /// A command of the user's in the namespaces and in a group of the user's.
    fn as_user(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        let script = "echo $$ > \"$0/cgroup.procs\" && exec nsenter -t $PID -m -p -S $OWNER -G $OWNER \"$@\"";
        command.args(["-c", script]).arg(self.group.join("caller")).arg(program);
        command.env("PID", self.pid.to_string()).env("OWNER", USER.to_string());
        command.env("XDG_RUNTIME_DIR", runtime_dir()).env("HOME", "/nonexistent").stdin(Stdio::null());
        command
    }

    fn must(&self, bundle: &Bundle, words: &[&str]) -> String {
        let plain = bundle.oci(words);
        give(bundle.dir.path());
        let mut command = self.as_user(&copy_runtime(bundle, plain.get_program()));
        command.arg("--systemd-cgroup").args(plain.get_args());
        if words[0] == "run" {
            command.arg("--bundle").arg(bundle.dir.path());
        }
        // Not a pipe: the container would keep it open and `output` would wait for it.
        let (out, err) = (bundle.dir.path().join("out"), bundle.dir.path().join("err"));
        let files = (fs::File::create(&out).unwrap(), fs::File::create(&err).unwrap());
        let status = command.stdout(files.0).stderr(files.1).status().unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let outcome = Outcome { code: status.code().unwrap_or(-1), stdout: read(&out), stderr: read(&err) };
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
        outcome.stdout
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // The first process takes all others of its namespace with it.
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.unshare.wait();
        self.manager.iter_mut().for_each(|manager| drop(manager.wait()));
        if !std::thread::panicking() {
            eventually("the user's groups are gone", || remove_groups(&self.group));
        }
    }
}

fn runtime_dir() -> String {
    format!("/run/user/{USER}")
}

#[test]
fn the_user_s_own_systemd_makes_the_scope_of_a_container_without_root() {
    let manager = Manager::start();
    let limits =
        fs::read_to_string(manager.group.join("manager/cgroup.controllers")).unwrap().contains("pids");
    let mut bundle = rootless("sleep 60").with("/linux/cgroupsPath", json!("foo.slice:test:rootless"));
    if limits {
        bundle = bundle.with("/linux/resources", json!({"pids": {"limit": 23}}));
    }
    manager.must(&bundle, &["run", "-d", &bundle.id]);
    let group = manager.group.join("manager/foo.slice/test-rootless.scope");
    assert!(!fs::read_to_string(group.join("cgroup.procs")).unwrap().is_empty());
    if limits {
        assert_eq!(fs::read_to_string(group.join("pids.max")).unwrap(), "23\n");
    }
    let found = manager.must(&bundle, &["exec", &bundle.id, "cat", "/proc/self/cgroup"]);
    assert!(found.lines().any(|line| line == "0::/"), "{found}");
    manager.must(&bundle, &["delete", "-f", &bundle.id]);
    eventually("the scope is gone", || !group.exists());
    assert!(!bundle.state_dir().exists());
}
