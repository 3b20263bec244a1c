//! What is known of a sandbox between two commands: one directory `<root>/<id>` with a state file, replaced
//! atomically, a copy of the configuration it was made from, and the socket on which its init waits for the start.
//!
//! The state is written before anything is made, so that whatever a killed runtime leaves behind can be found.

mod dir;
mod oci;
mod process;
mod time;
mod update;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, CgroupError};

pub use dir::StateDir;
pub use oci::OciState;
pub use process::Process;
pub use time::now;

/// The state of one sandbox, as stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The sandbox's name.
    pub id: String,
    /// Its bundle's directory.
    pub bundle: PathBuf,
    /// Its root file system, as an absolute path.
    pub rootfs: PathBuf,
    /// When its making began: RFC 3339, UTC.
    pub created: String,
    /// The configuration's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// The runtime that makes it, until it is made.
    pub maker: Option<Process>,
    /// Its first process; None while it is being made.
    pub process: Option<Process>,
}

/// Where a sandbox is in its life: runtime.md, "State".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made.
    Creating,
    /// It waits to be started.
    Created,
    /// Its workload was executed.
    Running,
    /// Its workload is stopped for a while.
    Paused,
    /// Its first process has ended, or the runtime that made it was killed half-way.
    Stopped,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What can go wrong with a sandbox's state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The name cannot be that of a directory of ours.
    #[error("\"{id}\" is not a container's name: letters, digits and _ + - . are, not starting with a dot")]
    Id {
        /// The name.
        id: String,
    },
    /// There is one already.
    #[error("container {id} exists already")]
    Exists {
        /// Its name.
        id: String,
    },
    /// There is none. containerd's shim looks for these words: "does not exist".
    #[error("container {id} does not exist")]
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
    #[error("container {id} is {status}: stop it first, or use --force")]
    Alive {
        /// Its name.
        id: String,
        /// Its status.
        status: Status,
    },
    /// It did not end when it was killed.
    #[error("process {pid} of container {id} did not end within ten seconds after SIGKILL")]
    Unkillable {
        /// Its name.
        id: String,
        /// Its first process.
        pid: i32,
    },
    /// They are not in the form of the configuration.
    #[error("the limits are not as linux.resources has them")]
    Resources {
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Its cgroup cannot be emptied or removed, or a limit cannot be changed.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}
