//! Removing a group.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Cgroup, CgroupError};

/// A process that was just reaped may hold its group for a moment longer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Kills what is left in the group and removes it. A group without processes, the usual case, costs one rmdir(2)
    /// for each of its directories. A group that is gone already is success, and so is one that another has taken over.
    ///
    /// # Errors
    /// See [`Cgroup::kill_all`] and [`Cgroup::delete`].
    pub fn destroy(&self) -> Result<(), CgroupError> {
        if self.is_anothers() {
            return Ok(());
        }
        if self.scope.is_some() {
            self.kill_all()?;
            return self.delete();
        }
        let removed = |dir: &Path| match fs::remove_dir(dir) {
            Ok(()) => true,
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
        // Each is tried: not `all`, which would end at the first that is in use.
        if self.dirs().filter(|dir| !removed(dir)).count() == 0 {
            return Ok(());
        }
        self.kill_all()?;
        self.delete()
    }

    /// Removes the group and the sub-groups that the sandbox made. A group that is gone already is success,
    /// and so is one that another has taken over.
    ///
    /// All directories are tried, whatever fails.
    ///
    /// # Errors
    /// The first directory that could not be removed: it still holds processes.
    pub fn delete(&self) -> Result<(), CgroupError> {
        if self.is_anothers() {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        // systemd forgets a scope by itself when its group is empty, and mostly has before we come here.
        let mut first = match &self.scope {
            Some(scope) if self.exists() => scope.stop().map_err(CgroupError::from),
            _ => Ok(()),
        };
        for dir in self.dirs() {
            let removed =
                remove(dir, deadline).map_err(|source| CgroupError::Remove { path: dir.to_owned(), source });
            first = first.and(removed);
        }
        first
    }
}

fn remove(dir: &Path, deadline: Instant) -> io::Result<()> {
    let mut pause = Duration::from_micros(100);
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() != Some(libc::EBUSY) || Instant::now() > deadline => {
                return Err(error);
            }
            Err(_) => remove_children(dir, deadline),
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Removes what can be removed below `dir`; what cannot shows in the next attempt on `dir` itself.
fn remove_children(dir: &Path, deadline: Instant) {
    for child in super::children(dir) {
        let _ = remove(&child, deadline);
    }
}
