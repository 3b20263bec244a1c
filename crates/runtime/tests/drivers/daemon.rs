//! containerd itself.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{eventually, output};

/// A containerd of its own.
pub(crate) struct Containerd {
    pub(crate) dir: TempDir,
    daemon: Child,
}

impl Containerd {
    /// Starts it with what `more` gives, for its directory, to be added to its configuration; waits until it answers.
    pub(crate) fn start(more: impl FnOnce(&Path) -> String) -> Self {
        // Socket paths are short.
        let dir = tempfile::Builder::new().prefix("ctrd").tempdir_in("/tmp").unwrap();
        let (at, more) = (dir.path().display(), more(dir.path()));
        let config = format!(
            "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\n{more}\n\
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

    pub(crate) fn ctr(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        // A namespace of its own: the shim keeps the runtime's state in /run/containerd/runc/NAMESPACE.
        command.arg("--address").arg(self.dir.path().join("sock")).args(["--namespace", &self.namespace()]);
        command.args(words);
        command
    }

    pub(crate) fn namespace(&self) -> String {
        format!("test-{}", self.daemon.id())
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
