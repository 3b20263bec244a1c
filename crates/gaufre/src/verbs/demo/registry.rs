//! The demo's registry in a process of its own.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A registry that lives as long as this value, and no longer than this process.
#[derive(Debug)]
pub(super) struct Registry {
    child: Child,
    /// The registry ends when this is closed, also by our death.
    alive: Option<ChildStdin>,
    /// Its port on 127.0.0.1.
    pub(super) port: u16,
}

impl Registry {
    /// Starts one; returns when it can be reached.
    ///
    /// # Errors
    /// When it cannot be started or does not say its port.
    pub(super) fn start() -> io::Result<Self> {
        // In a process group of its own: Ctrl-C is for us, and we end it in our own time.
        let mut command = Command::new("/proc/self/exe");
        command.arg(super::REGISTRY_VERB).stdin(Stdio::piped()).stdout(Stdio::piped());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let alive = child.stdin.take();
        let mut registry = Self { child, alive, port: 0 };
        let mut line = String::new();
        if let Some(stdout) = registry.child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        registry.port = line.trim().parse().map_err(|_| io::Error::other("it did not say its port"))?;
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.alive.take());
        // It has nothing left to do; should it hang all the same, it is not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
