//! The kernel's word that a group ran out of memory.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::fs::OFlags;

use super::Cgroup;
use super::files::{Files, pairs};

/// Waits for a group to run out of memory.
#[derive(Debug)]
pub struct OomWatch(Kind);

#[derive(Debug)]
enum Kind {
    /// memory.events, which poll(2) marks when it changes: Documentation/admin-guide/cgroup-v2.rst, "memory.events".
    V2 { events: OwnedFd, kills: u64 },
    /// An eventfd(2) that was given to cgroup.event_control beside memory.oom_control, which has to stay open:
    /// Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control".
    V1 { event: OwnedFd, _control: OwnedFd, group: Files },
}

impl Cgroup {
    /// Watches the group from here on; None where its memory is not controlled.
    ///
    /// # Errors
    /// The kernel does not offer it.
    pub fn watch_oom(&self) -> io::Result<Option<OomWatch>> {
        let Some(dir) = self.controller_dir("memory") else { return Ok(None) };
        let group = Files::open(dir)?;
        let kind = if self.is_v2() {
            let events = match group.descriptor("memory.events", OFlags::RDONLY) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                events => events?,
            };
            let kills = kills_in(&events)?;
            Kind::V2 { events, kills }
        } else {
            let control = group.descriptor("memory.oom_control", OFlags::RDONLY)?;
            let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            group.write("cgroup.event_control", &format!("{} {}", event.as_raw_fd(), control.as_raw_fd()))?;
            Kind::V1 { event, _control: control, group }
        };
        Ok(Some(OomWatch(kind)))
    }
}

impl OomWatch {
    /// For poll(2): something happened, of which [`Self::happened`] says what.
    pub fn poll_fd(&self) -> PollFd<'_> {
        match &self.0 {
            Kind::V2 { events, .. } => PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI),
            Kind::V1 { event, .. } => PollFd::from_borrowed_fd(event.as_fd(), PollFlags::IN),
        }
    }

    /// Whether the group ran out of memory since the last question: on v2 that a process was killed for it, on v1 that
    /// one is about to be.
    ///
    /// # Errors
    /// The group is gone.
    pub fn happened(&mut self) -> io::Result<bool> {
        match &mut self.0 {
            Kind::V2 { events, kills } => {
                let now = kills_in(events)?;
                let more = now > *kills;
                *kills = now;
                Ok(more)
            }
            Kind::V1 { event, group, .. } => {
                let told = match rustix::io::read(&*event, &mut [0; 8]) {
                    Err(rustix::io::Errno::AGAIN) => false,
                    read => read? != 0,
                };
                // The end of the group is told in the same way.
                group.text("memory.oom_control")?;
                Ok(told)
            }
        }
    }
}

/// Reads the count from the start of the file, and has poll(2) wait for the next change with that.
fn kills_in(events: &OwnedFd) -> io::Result<u64> {
    let mut text = [0; 1024];
    let len = rustix::io::pread(events, &mut text, 0)?;
    let text = String::from_utf8_lossy(text.get(..len).unwrap_or_default());
    Ok(pairs(&text).find_map(|(name, value)| (name == "oom_kill").then_some(value)).unwrap_or(0))
}
