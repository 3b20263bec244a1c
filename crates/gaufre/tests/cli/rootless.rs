//! What somebody who is not root is told.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::world::GAUFRE;

/// A copy of the program where anybody can reach it, taken away at the end.
struct Reachable(PathBuf);

impl Reachable {
    fn new() -> Self {
        let directory = PathBuf::from(format!("/var/tmp/gaufre-cli-rootless-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let reachable = Self(directory);
        std::fs::set_permissions(&reachable.0, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::copy(GAUFRE, reachable.0.join("gaufre")).unwrap();
        reachable
    }

    /// Runs it as `nobody`.
    fn said(&self, words: &str) -> Output {
        let mut command = Command::new(self.0.join("gaufre"));
        command.args(words.split(' ')).stdin(Stdio::null()).uid(65534).gid(65534).current_dir("/");
        command.env("GAUFRE_ROOT", self.0.join("root")).env("GAUFRE_RUN", self.0.join("run"));
        command.output().expect("these tests need root, to be somebody else")
    }
}

impl Drop for Reachable {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn without_root_each_verb_refuses_in_one_line_that_says_what_is_missing() {
    let gaufre = Reachable::new();
    for words in [
        "run x",
        "create x",
        "start x",
        "ps",
        "logs x",
        "exec x true",
        "attach x",
        "stop x",
        "kill x",
        "wait x",
        "rm x",
        "inspect x",
        "pull x",
        "images",
        "load -i /dev/null",
        "tag x y",
        "untag x",
        "rmi x",
        "system df",
        "system prune",
        "system check",
        "system reset",
        "info",
        "demo",
    ] {
        let Output { status, stdout, stderr } = gaufre.said(words);
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(125), "{words}: {error}");
        assert!(error.starts_with("Error: gaufre needs root") && error.contains("user 65534"), "{error}");
        assert_eq!((error.lines().count(), stdout.len()), (1, 0), "{words}: {error}");
    }
    assert!(gaufre.said("version").status.success());
    assert!(!gaufre.0.join("root").exists() && !gaufre.0.join("run").exists());
}
