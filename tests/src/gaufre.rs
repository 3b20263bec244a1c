//! The program under test, with a store and a run folder of its own.

use crate::tool::tool;
use crate::turn::Shared;
use crate::witness;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A `gaufre` whose store nobody else uses; dropping it removes its sandboxes and its store.
#[derive(Debug)]
pub struct Gaufre {
    dir: TempDir,
    run: Option<TempDir>,
    binary: PathBuf,
    _turn: Shared,
}

/// What a command said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The exit code; 128 and the signal's number after a signal.
    pub code: i32,
}

impl Gaufre {
    /// A new, empty store. Waits for a test that has the machine to itself.
    pub fn new() -> Self {
        Self::with_binary(&binary())
    }

    /// The same for a certain build of the program.
    pub fn with_binary(binary: &Path) -> Self {
        let turn = Shared::new();
        let dir = tempfile::Builder::new().prefix("gaufre-e2e-").tempdir().expect("a temporary folder");
        Self { dir, run: None, binary: binary.to_owned(), _turn: turn }
    }

    /// With the run folder in `parent` instead of beside the store: where /run is no tmpfs but another place is.
    ///
    /// # Panics
    ///
    /// If no folder can be made there.
    #[must_use]
    pub fn with_run_in(mut self, parent: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("gaufre-e2e-").tempdir_in(parent);
        self.run = Some(dir.expect("a folder for what runs"));
        self
    }

    /// Where this one keeps what it has: `root`, `run`, and whatever a test puts beside them.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The program itself.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The program, told which store to use.
    pub fn command(&self) -> Command {
        let mut command = tool(self.binary.to_str().expect("a path in UTF-8"));
        let run = self.run.as_ref().unwrap_or(&self.dir);
        command.arg("--root").arg(self.dir.path().join("root")).arg("--run").arg(run.path().join("run"));
        // What the person who runs the tests has configured is not part of them.
        command.env("HOME", self.dir.path()).env_remove("XDG_RUNTIME_DIR").env_remove("REGISTRY_AUTH_FILE");
        command
    }

    /// Runs a command to its end.
    pub fn say(&self, arguments: &[&str]) -> Said {
        Said::from(self.command().args(arguments).output().expect("gaufre starts"))
    }

    /// Runs a command that has to succeed, and returns its standard output.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert_eq!(said.code, 0, "gaufre {} failed:\n{}{}", arguments.join(" "), said.out, said.err);
        said.out
    }

    /// Runs a command that has to fail with `code`, and returns its standard error.
    ///
    /// # Panics
    ///
    /// If it ends otherwise, or dies of a panic.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let said = self.say(arguments);
        assert_eq!(said.code, code, "gaufre {}:\n{}{}", arguments.join(" "), said.out, said.err);
        assert!(!said.err.contains("panicked"), "gaufre {} panicked:\n{}", arguments.join(" "), said.err);
        said.err
    }

    /// Pulls a test image from an open registry and returns the name to run it by.
    pub fn pull(&self, registry: &crate::Registry, image: &str) -> String {
        let name = registry.image(image);
        self.ok(&["pull", "--quiet", "--tls-verify=false", &name]);
        name
    }

    /// The processes that belong to this store: every one that was told its run folder or its root.
    pub fn processes(&self) -> Vec<u32> {
        let mark = self.dir.path().to_str().expect("a path in UTF-8").to_owned();
        witness::processes(|command_line| command_line.contains(&mark))
    }
}

impl Default for Gaufre {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Gaufre {
    fn drop(&mut self) {
        let _ = self.command().args(["rm", "--force", "--all", "--time=0"]).output();
        let _ = self.command().args(["system", "reset", "--force"]).output();
        for pid in self.processes() {
            let _ = tool("kill").args(["-KILL", &pid.to_string()]).output();
        }
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().or(output.status.signal().map(|signal| 128 + signal)).unwrap_or(-1),
        }
    }
}

/// `$GAUFRE`, or the one that cargo built beside the tests.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("GAUFRE") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("the test's own path");
    let built =
        test.parent().and_then(Path::parent).map(|dir| dir.join("gaufre")).filter(|path| path.exists());
    built.unwrap_or_else(|| {
        panic!("gaufre is not built: run `cargo build -p gaufre`, or set GAUFRE to its path")
    })
}
