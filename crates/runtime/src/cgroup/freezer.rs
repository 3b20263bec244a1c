//! Stopping all processes of a group for a while: cgroup.freeze of v2 (Linux 5.2), the freezer controller of v1.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::files::Files;
use super::{Cgroup, CgroupError};

/// How long stopping may take before it is reported.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which of the two a group has.
enum Freezer<'a> {
    V2(&'a Path),
    V1(&'a Path),
}

impl Cgroup {
    /// Stops every process of the group until [`Cgroup::thaw`], and returns when all of them stand still.
    ///
    /// # Errors
    /// The host has no freezer, or a process did not stop within ten seconds: then the group runs as before.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let frozen = match self.freezer()? {
            Freezer::V2(dir) => self.freeze_v2(dir),
            Freezer::V1(dir) => self.freeze_v1(dir),
        };
        if frozen.is_err() {
            let _ = self.thaw();
        }
        frozen
    }

    /// Lets the processes of the group go on. They do as soon as no group above is frozen either.
    ///
    /// # Errors
    /// The group cannot be written.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        match self.freezer()? {
            Freezer::V2(dir) => write(dir, "cgroup.freeze", "0"),
            Freezer::V1(dir) => write(dir, "freezer.state", "THAWED"),
        }
    }

    /// Whether all processes of the group are stopped. A group without a freezer never is.
    ///
    /// # Errors
    /// The group cannot be read.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        match self.freezer() {
            Ok(Freezer::V2(dir)) => is_frozen_v2(dir),
            Ok(Freezer::V1(dir)) => Ok(read(dir, "freezer.state")?.trim() == "FROZEN"),
            Err(_) => Ok(false),
        }
    }

    /// v2's where there is one, on hybrid hosts too: it is the one that lets frozen processes be killed.
    fn freezer(&self) -> Result<Freezer<'_>, CgroupError> {
        let has = |dir: &&Path| dir.join("cgroup.freeze").exists();
        if let Some(dir) = self.unified.as_deref().filter(has) {
            return Ok(Freezer::V2(dir));
        }
        let legacy = self.legacy.iter().find(|one| one.controllers.iter().any(|name| name == "freezer"));
        let none = || CgroupError::NoController { field: "pausing".into(), controller: "freezer".into() };
        legacy.map(|one| Freezer::V1(&one.dir)).ok_or_else(none)
    }

    /// The kernel tells each change of cgroup.events to who polls it.
    fn freeze_v2(&self, dir: &Path) -> Result<(), CgroupError> {
        let path = dir.join("cgroup.events");
        let wrap =
            |source: rustix::io::Errno| CgroupError::Read { path: path.clone(), source: source.into() };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = openat(CWD, &path, flags, Mode::empty()).map_err(wrap)?;
        write(dir, "cgroup.freeze", "1")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if is_frozen_now(&events).map_err(wrap)? {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.timeout("stop"));
            }
            let timeout = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&events, PollFlags::PRI)], timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(wrap(error)),
            }
        }
    }

    /// v1 tells nobody, and a process that forks while the group is FREEZING can leave it there: the word is then
    /// said again, and now and then all are let go for a moment so that the fork can end.
    fn freeze_v1(&self, dir: &Path) -> Result<(), CgroupError> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(50);
        for round in 1.. {
            write(dir, "freezer.state", "FROZEN")?;
            if read(dir, "freezer.state")?.trim() == "FROZEN" {
                return Ok(());
            }
            if Instant::now() > deadline {
                break;
            }
            if round % 50 == 0 {
                write(dir, "freezer.state", "THAWED")?;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        Err(self.timeout("stop"))
    }

    /// Thaws the group's v1 directory and those below it, where a frozen process takes no SIGKILL. v2's freezer lets
    /// processes be killed.
    pub(crate) fn let_frozen_die(&self) {
        let legacy = self.legacy.iter().find(|one| one.controllers.iter().any(|name| name == "freezer"));
        if let Some(one) = legacy {
            thaw_below(&one.dir);
        }
    }
}

fn thaw_below(dir: &Path) {
    // What cannot be thawed shows by its processes, which then do not end.
    let _ = write(dir, "freezer.state", "THAWED");
    for child in super::children(dir) {
        thaw_below(&child);
    }
}

fn is_frozen_v2(dir: &Path) -> Result<bool, CgroupError> {
    Ok(read(dir, "cgroup.events")?.lines().any(|line| line == "frozen 1"))
}

fn is_frozen_now(events: &OwnedFd) -> rustix::io::Result<bool> {
    let mut text = [0; 256];
    let len = rustix::io::pread(events, &mut text, 0)?;
    Ok(text[..len].split(|byte| *byte == b'\n').any(|line| line == b"frozen 1"))
}

fn read(dir: &Path, file: &str) -> Result<String, CgroupError> {
    Files::open(dir)
        .and_then(|files| files.text(file))
        .map_err(|source| CgroupError::Read { path: dir.join(file), source })
}

fn write(dir: &Path, file: &str, value: &str) -> Result<(), CgroupError> {
    match Files::open(dir).and_then(|files| files.write(file, value)) {
        // A group that is gone has nothing that could be stopped or let go.
        Err(source)
            if source.kind() == ErrorKind::NotFound && !dir.exists() && value != "FROZEN" && value != "1" =>
        {
            Ok(())
        }
        written => written.map_err(|source| CgroupError::Write { path: dir.join(file), source }),
    }
}
