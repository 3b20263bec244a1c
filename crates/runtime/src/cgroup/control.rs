//! Killing, freezing and thawing all processes of a group.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::setting::write;
use super::{Cgroup, CgroupError};

/// How long stopping or killing may take before it is reported.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Kills every process of the group and its sub-groups with SIGKILL and waits until none is left. Processes that
    /// are zombies of others do not count. Nothing to kill is success.
    ///
    /// # Errors
    /// The group cannot be read or written, or a process does not die (in uninterruptible sleep, for one).
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(200);
        loop {
            let pids = self.procs()?;
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.timeout("end"));
            }
            if !self.kill_at_once()? {
                // One by one: a process that forks meanwhile is caught in the next round.
                for pid in pids.into_iter().filter_map(Pid::from_raw) {
                    // Gone already is what is wanted.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// cgroup.kill, Linux 5.14: atomic, forks included. False where there is no such file.
    fn kill_at_once(&self) -> Result<bool, CgroupError> {
        let Some(dir) = &self.unified else { return Ok(false) };
        let path = dir.join("cgroup.kill");
        match write(&path, "1") {
            // On a hybrid host somebody may be in a v1 directory only; then the slow way finds it.
            Ok(()) => Ok(self.legacy.is_empty()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(CgroupError::Write { path, source }),
        }
    }

    /// Stops every process of the group until [`Cgroup::thaw`].
    ///
    /// # Errors
    /// The host has no freezer, or a process did not stop within ten seconds.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.set_frozen(true)
    }

    /// Lets the processes of the group go on.
    ///
    /// # Errors
    /// The group cannot be written.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<(), CgroupError> {
        let unified = self.unified.as_deref().filter(|dir| dir.join("cgroup.freeze").exists());
        let (path, value) = match (unified, self.controller_dir("freezer")) {
            (Some(dir), _) => (dir.join("cgroup.freeze"), if frozen { "1" } else { "0" }),
            (None, Some(dir)) => (dir.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" }),
            (None, None) => {
                return Err(CgroupError::NoController {
                    field: "pausing".into(),
                    controller: "freezer".into(),
                });
            }
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            write(&path, value).map_err(|source| CgroupError::Write { path: path.clone(), source })?;
            if self.is_frozen()? == frozen {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.timeout(if frozen { "stop" } else { "go on" }));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether all processes of the group are stopped.
    ///
    /// # Errors
    /// The group cannot be read.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        let read = |path: &Path| {
            fs::read_to_string(path).map_err(|source| CgroupError::Read { path: path.to_owned(), source })
        };
        match (&self.unified, self.controller_dir("freezer")) {
            (Some(dir), _) if dir.join("cgroup.freeze").exists() => {
                Ok(read(&dir.join("cgroup.events"))?.lines().any(|line| line == "frozen 1"))
            }
            (_, Some(dir)) => Ok(read(&dir.join("freezer.state"))?.trim() == "FROZEN"),
            _ => Ok(false),
        }
    }

    fn timeout(&self, what: &'static str) -> CgroupError {
        CgroupError::Timeout { path: self.dirs().next().unwrap_or(Path::new("")).to_owned(), what }
    }
}
