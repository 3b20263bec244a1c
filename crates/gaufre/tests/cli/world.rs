//! A store and a registry of a test's own, taken away at its end, also a failed one.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The program under test.
pub(crate) const GAUFRE: &str = env!("CARGO_BIN_EXE_gaufre");

/// A store of its own, and the demo's registry.
pub(crate) struct World {
    directory: PathBuf,
    registry: Child,
    /// The demo's image, which runs a small HTTP server and holds nothing but gaufre.
    pub(crate) image: String,
}

impl World {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/var/tmp/gaufre-cli-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut registry = Command::new(GAUFRE)
            .arg("__demo-registry")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(registry.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let image = format!("127.0.0.1:{}/gaufre/demo:latest", port.trim());
        let world = Self { directory, registry, image };
        let pulled = world.gaufre(&["pull", "-q", "--tls-verify=false", &world.image]);
        assert!(pulled.status.success(), "these tests need root: {pulled:?}");
        world
    }

    /// gaufre on this store, with these arguments.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(GAUFRE);
        command
            .args(args)
            .env("GAUFRE_ROOT", self.directory.join("root"))
            .env("GAUFRE_RUN", self.directory.join("run"));
        command
    }

    /// Runs it to its end.
    pub(crate) fn gaufre(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs it to its end, which has to be good, and gives what it said.
    pub(crate) fn said(&self, args: &[&str]) -> String {
        let output = self.gaufre(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs it to its end, which has to be bad, and gives the code and the error.
    pub(crate) fn failed(&self, args: &[&str]) -> (i32, String) {
        let output = self.gaufre(args);
        assert!(!output.status.success(), "{args:?}: {output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let reset = self.gaufre(&["system", "reset", "-f"]);
        drop(self.registry.stdin.take());
        let _ = self.registry.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            assert!(reset.status.success(), "{reset:?}");
        }
    }
}
