//! What is known of a sandbox between two commands: one directory `<root>/<id>` with a state file, replaced
//! atomically, a copy of the configuration it was made from, and the socket on which its init waits for the start.
//!
//! The state is written before anything is made, so that whatever a killed runtime leaves behind can be found.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, CgroupError};

/// The state of one sandbox, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The sandbox's name.
    pub id: String,
    /// Its bundle's directory.
    pub bundle: PathBuf,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// Its first process; None while it is being made.
    pub process: Option<Process>,
}

/// A process, recognisable after its id was reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id in the runtime's PID namespace.
    pub pid: i32,
    /// When it started, in clock ticks since boot: field 22 of /proc/PID/stat.
    pub start_ticks: u64,
}

/// Where a sandbox is in its life: runtime.md, "State".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made, or a runtime that made it was killed.
    Creating,
    /// It waits to be started.
    Created,
    /// Its workload was executed.
    Running,
    /// Its first process has ended.
    Stopped,
}

/// What can go wrong with a sandbox's state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The name cannot be that of a directory of ours.
    #[error("\"{id}\" is not a sandbox's name: letters, digits and _ + - . are, not starting with a dot")]
    Id {
        /// The name.
        id: String,
    },
    /// There is one already.
    #[error("the sandbox {id} exists already")]
    Exists {
        /// Its name.
        id: String,
    },
    /// There is none.
    #[error("there is no sandbox {id}")]
    Unknown {
        /// Its name.
        id: String,
    },
    /// A file of its state cannot be used.
    #[error("could not use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It cannot be deleted in this state.
    #[error("the sandbox {id} is {status:?}: stop it first, or use --force")]
    Alive {
        /// Its name.
        id: String,
        /// Its status.
        status: Status,
    },
    /// Its cgroup cannot be emptied or removed.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// The directory that holds one sandbox's state.
#[derive(Clone, Debug)]
pub struct StateDir {
    id: String,
    dir: PathBuf,
}

impl StateDir {
    /// The directory for `id` below `root`, which need not exist.
    ///
    /// # Errors
    /// `id` is not a name.
    pub fn at(root: &Path, id: &str) -> Result<Self, StateError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.bytes().all(plain) {
            return Err(StateError::Id { id: id.to_owned() });
        }
        Ok(Self { id: id.to_owned(), dir: root.join(id) })
    }

    /// Claims the name: makes the directory and writes the first state and the configuration.
    ///
    /// # Errors
    /// The name is taken, or the directory cannot be written.
    pub fn claim(&self, state: &State, config: &[u8]) -> Result<(), StateError> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        let made = match builder.create(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let parent = self.dir.parent().unwrap_or(&self.dir);
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o711)
                    .create(parent)
                    .and_then(|()| builder.create(&self.dir))
            }
            made => made,
        };
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(StateError::Exists { id: self.id.clone() });
            }
            made => made.map_err(|source| self.failed("", source))?,
        }
        let path = self.dir.join("config.json");
        fs::write(&path, config).map_err(|source| StateError::File { path, source })?;
        self.store(state)
    }

    /// Replaces the state.
    ///
    /// # Errors
    /// It cannot be written; the old one stays.
    pub fn store(&self, state: &State) -> Result<(), StateError> {
        let text = serde_json::to_vec(state).map_err(|error| self.failed("state.json", error.into()))?;
        let new = self.dir.join("state.json.new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.dir.join("state.json")))
            .map_err(|source| self.failed("state.json", source))
    }

    /// Reads the state.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn load(&self) -> Result<State, StateError> {
        let text = fs::read(self.dir.join("state.json")).map_err(|source| match source.kind() {
            ErrorKind::NotFound => StateError::Unknown { id: self.id.clone() },
            _ => self.failed("state.json", source),
        })?;
        serde_json::from_slice(&text).map_err(|error| self.failed("state.json", error.into()))
    }

    /// The configuration the sandbox was made from.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn config(&self) -> Result<Spec, StateError> {
        let text =
            fs::read(self.dir.join("config.json")).map_err(|source| self.failed("config.json", source))?;
        serde_json::from_slice(&text).map_err(|error| self.failed("config.json", error.into()))
    }

    /// Where init waits for its start.
    pub fn start_socket(&self) -> PathBuf {
        self.dir.join("start.sock")
    }

    /// Where the sandbox is in its life. It waits to be started as long as its start socket is there.
    pub fn status(&self, state: &State) -> Status {
        match state.process {
            None => Status::Creating,
            Some(process) if process.open().is_none() => Status::Stopped,
            Some(_) if self.start_socket().exists() => Status::Created,
            Some(_) => Status::Running,
        }
    }

    /// Removes the sandbox: with `force` it is killed first, whatever its state, even one whose making was cut off.
    ///
    /// # Errors
    /// It is alive and may not be killed, or something of it cannot be removed; then its state stays.
    pub fn delete(&self, force: bool) -> Result<(), StateError> {
        let state = match self.load() {
            // A runtime was killed between making the directory and writing the state: nothing else exists yet.
            Err(StateError::Unknown { .. }) if force && self.dir.exists() => return self.remove(),
            loaded => loaded?,
        };
        let status = self.status(&state);
        if status != Status::Stopped && !force {
            return Err(StateError::Alive { id: self.id.clone(), status });
        }
        if let Some(pidfd) = state.process.and_then(Process::open) {
            // It may end in between, which is what is wanted.
            let _ = crate::kill(pidfd.as_fd(), Signal::KILL);
        }
        state.cgroup.kill_all()?;
        state.cgroup.delete()?;
        self.remove()
    }

    /// Removes the directory.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> Result<(), StateError> {
        for name in ["start.sock", "config.json", "state.json.new", "state.json"] {
            match fs::remove_file(self.dir.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(name, error)),
                _ => {}
            }
        }
        fs::remove_dir(&self.dir).map_err(|source| self.failed("", source))
    }

    fn failed(&self, name: &str, source: io::Error) -> StateError {
        StateError::File { path: self.dir.join(name), source }
    }
}

impl Process {
    /// Notes down a process that certainly exists, a child not yet waited for.
    ///
    /// # Errors
    /// /proc does not show it.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let pid = pid.as_raw_nonzero().get();
        let (_, start_ticks) = stat(pid).ok_or(ErrorKind::NotFound)?;
        Ok(Self { pid, start_ticks })
    }

    /// Opens the process if it is still that one and has not ended.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Read after opening: if it is the right one now, the descriptor is of the right one.
        let (ended, start_ticks) = stat(self.pid)?;
        (start_ticks == self.start_ticks && !ended).then_some(pidfd)
    }
}

/// Whether a process has ended (a zombie), and when it started.
fn stat(pid: i32) -> Option<(bool, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything: what counts is after the last one.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    Some((ended, fields.nth(18)?.parse().ok()?))
}
