//! What is made: each way through `create` that has steps of its own.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::bundle::{Bundle, eventually};
use crate::left::Places;

/// One way through `create`.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) bundle: Bundle,
    /// Before the verb.
    options: Vec<&'static str>,
    console: Option<UnixListener>,
    /// Whether a process in the middle makes the container's.
    pub(crate) has_middle: bool,
    /// Somebody else's container below the same `--root`, to whom nothing must happen.
    other: String,
}

impl Kind {
    pub(crate) fn all() -> Vec<Self> {
        let plain = |_: &mut Self| {};
        vec![
            Self::new("plain", plain),
            Self::new("with a terminal", |kind| {
                kind.bundle.spec["process"]["terminal"] = json!(true);
                let listener = UnixListener::bind(kind.console_path()).unwrap();
                listener.set_nonblocking(true).unwrap();
                kind.console = Some(listener);
            }),
            Self::new("in a user namespace", |kind| in_user_namespace(&mut kind.bundle)),
            Self::new("in a user namespace with another's network", |kind| {
                in_user_namespace(&mut kind.bundle);
                let path = format!("/proc/{}/ns/net", kind.pid_of_other());
                set_namespace(&mut kind.bundle, json!({"type": "network", "path": path}));
                kind.bundle.spec["linux"].as_object_mut().unwrap().remove("sysctl");
                // It shows a network, whose owner alone may mount it.
                let mounts = kind.bundle.spec["mounts"].as_array_mut().unwrap();
                mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/sys"));
                kind.has_middle = true;
            }),
            Self::new("with hooks", |kind| {
                let program = kind.bundle.rootfs().join("bin/busybox");
                for stage in ["createRuntime", "createContainer", "poststop"] {
                    kind.bundle.spec["hooks"][stage] = json!([{"path": program, "args": ["true"]}]);
                }
            }),
            Self::new("in the host's mount namespace", |kind| drop_namespace(&mut kind.bundle, "mount")),
            Self::new("without a group", |kind| {
                kind.bundle.spec["linux"].as_object_mut().unwrap().remove("resources");
                kind.options = vec!["--cgroup-manager", "disabled"];
            }),
        ]
    }

    fn new(name: &'static str, change: impl FnOnce(&mut Self)) -> Self {
        let bundle = bundle("sleep 86400");
        let other = format!("{}-other", bundle.id);
        let mut kind = Self { name, bundle, options: Vec::new(), console: None, has_middle: false, other };
        let mut run = kind.bundle.oci(&["run", "--detach", &kind.other]);
        assert!(run.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        change(&mut kind);
        // What only the first one makes, and files of the test's own.
        fs::write(kind.log_path(), "").unwrap();
        kind.makes_one_and_deletes_it();
        kind
    }

    pub(crate) fn places(&self) -> Places {
        Places { id: self.bundle.id.clone(), dirs: vec![self.bundle.dir.path().to_owned()] }
    }

    /// The command that makes the container.
    pub(crate) fn create(&self) -> Command {
        let pid_file = self.pid_file();
        let mut words = self.options.clone();
        words.extend(["create", "--pid-file", pid_file.to_str().unwrap()]);
        let console = self.console_path();
        if self.console.is_some() {
            words.extend(["--console-socket", console.to_str().unwrap()]);
        }
        words.push(&self.bundle.id);
        let mut command = self.bundle.oci(&words);
        let log = fs::File::create(self.log_path()).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// The rest is as if there had never been a container.
    pub(crate) fn makes_one_and_deletes_it(&self) {
        let made = self.create().status().unwrap();
        assert!(made.success(), "{}: {}", self.name, self.log());
        assert_eq!(self.bundle.status(), "created");
        self.bundle.must(&["delete", "--force", &self.bundle.id]);
        assert!(self.forgets_pid_file(), "{}: no pid file was written", self.name);
        self.forgets_terminals();
    }

    /// `delete` after the making was cut off: with --force, or without it where there is a state.
    pub(crate) fn deletes(&self, by_force: bool) {
        let id = &self.bundle.id;
        if by_force || !self.bundle.state_dir().join("state.json").exists() {
            self.bundle.must(&["delete", "--force", id]);
        } else {
            let settled = || ["created", "stopped"].contains(&self.bundle.status().as_str());
            eventually("it is created or stopped", settled);
            self.bundle.must(&["delete", id]);
        }
    }

    pub(crate) fn other_is_well(&self) {
        let state: Value = serde_json::from_str(&self.bundle.must(&["state", &self.other])).unwrap();
        assert_eq!(state["status"], "running", "{}", self.name);
        assert_eq!(self.bundle.must(&["exec", &self.other, "echo", "well"]), "well\n");
    }

    /// Whether there was a pid file, which the one who asked for it removes. There is a whole one or none.
    pub(crate) fn forgets_pid_file(&self) -> bool {
        let Ok(text) = fs::read_to_string(self.pid_file()) else { return false };
        fs::remove_file(self.pid_file()).unwrap();
        let pid: i32 = text.parse().unwrap_or_else(|_| panic!("{}: half a pid file: {text:?}", self.name));
        assert!(pid > 1);
        true
    }

    /// The other end of the console's socket lets go of what has come.
    pub(crate) fn forgets_terminals(&self) {
        while let Some(Ok(_)) = self.console.as_ref().map(UnixListener::accept) {}
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    fn pid_of_other(&self) -> i64 {
        let state: Value = serde_json::from_str(&self.bundle.must(&["state", &self.other])).unwrap();
        state["pid"].as_i64().unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.bundle.dir.path().join("log")
    }

    fn pid_file(&self) -> PathBuf {
        self.bundle.dir.path().join("pid")
    }

    fn console_path(&self) -> PathBuf {
        self.bundle.dir.path().join("console.sock")
    }
}

impl Drop for Kind {
    fn drop(&mut self) {
        let deleted = self.bundle.try_verb(&["delete", "--force", &self.other]);
        assert!(deleted.code == 0 || std::thread::panicking(), "{deleted:?}");
    }
}

/// One whose name nobody else has: others run this very test as the first process of another PID namespace.
pub(crate) fn bundle(script: &str) -> Bundle {
    let mut bundle = Bundle::sh(script);
    let dir = bundle.dir.path().file_name().unwrap().to_str().unwrap();
    bundle.id = format!("killed-{}", dir.trim_start_matches('.'));
    bundle
}

fn in_user_namespace(bundle: &mut Bundle) {
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    bundle.spec["linux"]["uidMappings"] = map.clone();
    bundle.spec["linux"]["gidMappings"] = map;
    set_namespace(bundle, json!({"type": "user"}));
}

fn set_namespace(bundle: &mut Bundle, namespace: Value) {
    drop_namespace(bundle, namespace["type"].as_str().unwrap());
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(namespace);
}

fn drop_namespace(bundle: &mut Bundle, kind: &str) {
    let list = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    list.retain(|namespace| namespace["type"] != kind);
}
