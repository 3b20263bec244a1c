//! Killing all processes of a group.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::files::Files;
use super::{Cgroup, CgroupError};

/// How long killing may take before it is reported.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so many rounds something forks faster than it is killed, or is frozen: v1's freezer holds it then.
const PLAIN_ROUNDS: u32 = 8;

impl Cgroup {
    /// Kills every process of the group and its sub-groups with SIGKILL and waits until none is left. Processes that
    /// are zombies of others do not count. Nothing to kill is success, and so is a group that another has taken over.
    ///
    /// # Errors
    /// The group cannot be read or written, or a process does not die (in uninterruptible sleep, for one).
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        if self.is_anothers() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(200);
        for round in 0.. {
            let pids = self.procs()?;
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.timeout("end"));
            }
            if !self.kill_at_once()? {
                let stubborn = round >= PLAIN_ROUNDS;
                if stubborn {
                    // Whatever forks is held while all are signalled; a host without a freezer goes on without.
                    let _ = self.freeze();
                }
                kill_each(if stubborn { self.procs()? } else { pids });
                if stubborn || round == 0 {
                    // A frozen process of v1 dies when it is thawed, not before.
                    self.let_frozen_die();
                }
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }

    /// cgroup.kill, Linux 5.14: atomic, forks included. False where there is no such file.
    fn kill_at_once(&self) -> Result<bool, CgroupError> {
        let Some(dir) = &self.unified else { return Ok(false) };
        match Files::open(dir).and_then(|files| files.write("cgroup.kill", "1")) {
            // On a hybrid host somebody may be in a v1 directory only; then the slow way finds it.
            Ok(()) => Ok(self.legacy.is_empty()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(CgroupError::Write { path: dir.join("cgroup.kill"), source }),
        }
    }

    pub(super) fn timeout(&self, what: &'static str) -> CgroupError {
        CgroupError::Timeout { path: self.dirs().next().unwrap_or(Path::new("")).to_owned(), what }
    }
}

/// One by one: a process that forks meanwhile is caught in the next round.
fn kill_each(pids: Vec<i32>) {
    for pid in pids.into_iter().filter_map(Pid::from_raw) {
        // Gone already is what is wanted.
        let _ = kill_process(pid, Signal::KILL);
    }
}
