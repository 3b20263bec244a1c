//! A bundle around busybox, and the commands on the sandbox made from it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A bundle whose sandbox is deleted with it.
pub(crate) struct Bundle {
    pub(crate) dir: TempDir,
    pub(crate) spec: Value,
    pub(crate) id: String,
}

const APPLETS: &str = "sh ls cat mount umount id ps true false env stat mknod sleep echo dd hostname tty head tail \
    grep readlink touch mkdir rm ln pwd kill stty chmod chown wc nproc dnsdomainname sysctl df seq cut sort";

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Bundle {
    /// A bundle that runs `script` in a shell.
    pub(crate) fn sh(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rootfs = dir.path().join("rootfs");
        for name in ["bin", "proc", "sys", "dev", "etc", "tmp", "usr"] {
            fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        let busybox = std::env::var("GAUFRE_BUSYBOX").unwrap_or("/bin/busybox".into());
        assert!(Path::new(&busybox).exists(), "a static busybox is needed (package busybox-static)");
        copy_program(Path::new(&busybox), &rootfs.join("bin/busybox"));
        for applet in APPLETS.split_whitespace() {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        let mut spec = serde_json::to_value(gaufre_runtime::spec::default_spec()).unwrap();
        spec["process"]["args"] = json!(["sh", "-c", script]);
        let id = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { dir, spec, id }
    }

    /// The same with a change to the configuration.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = self.spec.pointer_mut(parent).unwrap();
        parent[key] = value;
        self
    }

    /// The same with one more mount.
    pub(crate) fn mount(mut self, mount: Value) -> Self {
        self.spec["mounts"].as_array_mut().unwrap().push(mount);
        self
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.dir.path().join("rootfs")
    }

    /// A command of the runtime on this bundle, after the configuration was written.
    pub(crate) fn oci(&self, words: &[&str]) -> Command {
        fs::write(self.dir.path().join("config.json"), self.spec.to_string()).unwrap();
        let mut command = self.bare(words);
        command.current_dir(self.dir.path());
        command
    }

    /// A command of the runtime with this bundle's `--root`.
    pub(crate) fn bare(&self, words: &[&str]) -> Command {
        let runtime = std::env::var("GAUFRE_OCI").unwrap_or(env!("CARGO_BIN_EXE_gaufre-oci").into());
        let mut command = Command::new(runtime);
        command.arg("--root").arg(self.dir.path().join("state")).args(words).stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self) -> Outcome {
        Outcome::of(&self.oci(&["run", &self.id]).output().unwrap())
    }

    /// What the workload printed; it must have succeeded.
    pub(crate) fn stdout(&self) -> String {
        let outcome = self.run();
        assert_eq!(outcome.code, 0, "stdout: {}\nstderr: {}", outcome.stdout, outcome.stderr);
        outcome.stdout
    }

    /// What went wrong; it must have failed, and left nothing.
    pub(crate) fn failure(&self) -> String {
        let outcome = self.run();
        assert_ne!(outcome.code, 0, "stdout: {}", outcome.stdout);
        assert!(!self.state_dir().exists(), "the state is left");
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new());
        outcome.stderr
    }

    /// Creates and starts, without output.
    pub(crate) fn start(&self) {
        self.create();
        self.must(&["start", &self.id]);
    }

    /// Creates, without output.
    pub(crate) fn create(&self) {
        let mut command = self.oci(&["create", &self.id]);
        // Not a pipe: the container would keep it open and `output` would wait for it.
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let status = command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        assert!(status.success(), "{}", fs::read_to_string(self.dir.path().join("log")).unwrap());
    }

    /// A verb that must succeed; gives what it printed.
    pub(crate) fn must(&self, words: &[&str]) -> String {
        let outcome = Outcome::of(&self.bare(words).output().unwrap());
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
        outcome.stdout
    }

    pub(crate) fn try_verb(&self, words: &[&str]) -> Outcome {
        Outcome::of(&self.bare(words).output().unwrap())
    }

    /// A verb in the bundle's directory, after the configuration was written.
    #[allow(dead_code, reason = "for the tests of the command line")]
    pub(crate) fn try_in_bundle(&self, words: &[&str]) -> Outcome {
        Outcome::of(&self.oci(words).output().unwrap())
    }

    /// The directory of the sandbox's cgroup that has this controller.
    #[allow(dead_code, reason = "for the tests of the command line")]
    pub(crate) fn controller_dir(&self, controller: &str) -> PathBuf {
        let has = |dir: &PathBuf| dir.join(format!("{controller}.max")).exists();
        self.cgroups().into_iter().find(has).expect("this host has no such controller")
    }

    /// Executes a shell script in the running sandbox.
    pub(crate) fn exec(&self, script: &str) -> Outcome {
        self.try_verb(&["exec", &self.id, "sh", "-c", script])
    }

    pub(crate) fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.must(&["state", &self.id])).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn pid(&self) -> i64 {
        let state: Value = serde_json::from_str(&self.must(&["state", &self.id])).unwrap();
        state["pid"].as_i64().unwrap()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state").join(&self.id)
    }

    /// The directories of the sandbox's cgroup that exist.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let name = Path::new("gaufre").join(&self.id);
        let mut hierarchies = vec![root.to_owned()];
        hierarchies.extend(fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()));
        hierarchies.into_iter().map(|dir| dir.join(&name)).filter(|dir| dir.exists()).collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if self.state_dir().exists() {
            let outcome = self.try_verb(&["delete", "-f", &self.id]);
            if outcome.code != 0 && !std::thread::panicking() {
                panic!("not deleted: {}", outcome.stderr);
            }
        }
    }
}

/// Copies a program, in a process of its own: one that another test forks in the meantime would hold a copy of ours open for
/// writing until it executes something, and as long nobody could execute it ("text file busy").
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--").args([from, to]).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{} could not be copied", from.display());
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Waits until something holds, at most ten seconds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within ten seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}
