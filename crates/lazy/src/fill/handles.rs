//! What must stay open while a layer is being filled.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::process::PidfdGetfdFlags;

use crate::frames::FrameMap;
use crate::sys::{EventLog, mark, open_group};

/// The fanotify group, the log of its events and the data file.
///
/// The data file's descriptor is one that was open before the file was marked: writes through another would raise events
/// themselves. All copies of it are as good.
#[derive(Debug)]
pub struct Handles {
    pub(super) group: OwnedFd,
    pub(super) log: OwnedFd,
    pub(super) data: File,
}

/// The numbers that a process has [`Handles`] under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// The fanotify group's.
    pub group: i32,
    /// The event log's.
    pub log: i32,
    /// The data file's.
    pub data: i32,
}

impl Handles {
    /// Gives the data file, which is open for reading and writing, the length of the layer, and marks it. From now on
    /// readers of it wait for a filler; it must not be mounted yet.
    ///
    /// # Errors
    /// The file cannot be made so long, the kernel has no pre-content events (before Linux 6.14), the file system has none, or CAP_SYS_ADMIN is missing.
    pub fn set_up(data: File, map: &FrameMap) -> io::Result<Self> {
        // Once it is marked, the kernel asks a filler for leave.
        data.set_len(map.data_bytes())?;
        let group = open_group()?;
        let log = EventLog::create()?;
        mark(&group, &data)?;
        Ok(Self { group, log, data })
    }

    /// The numbers, for another process to copy the handles by.
    pub fn numbers(&self) -> Numbers {
        Numbers { group: self.group.as_raw_fd(), log: self.log.as_raw_fd(), data: self.data.as_raw_fd() }
    }

    /// Copies the handles of another process (pidfd_getfd(2), which asks for the right to trace it).
    ///
    /// # Errors
    /// The process has ended, has no such descriptors, or may not be asked.
    pub fn copy_from(pidfd: impl AsFd, numbers: Numbers) -> io::Result<Self> {
        let copy = |number| rustix::process::pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty());
        Ok(Self { group: copy(numbers.group)?, log: copy(numbers.log)?, data: copy(numbers.data)?.into() })
    }
}
