//! A process of a test, ended when its guard is dropped.

use std::process::{Child, Command};

/// A running program; dropping it kills it by its process id and reaps it.
#[derive(Debug)]
pub struct Started(Child);

impl Started {
    /// Starts `command`, which also ends when the calling thread does, however that happens.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn new(command: &Command) -> Self {
        Self::configured(command, |_| ())
    }

    /// As [`Started::new`], after `configure` has set up its streams.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn configured(command: &Command, configure: impl FnOnce(&mut Command)) -> Self {
        // prctl(2) PR_SET_PDEATHSIG by way of setpriv(1), so that even a killed test leaves no server behind.
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "KILL"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            wrapped.current_dir(dir);
        }
        wrapped.stdin(std::process::Stdio::null());
        configure(&mut wrapped);
        Self(wrapped.spawn().unwrap_or_else(|error| panic!("{command:?} could not be started: {error}")))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The child, to read from or wait for.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
