//! What can go wrong with a control group.

use std::io;
use std::path::PathBuf;

/// A failure concerning a control group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// The name leaves its hierarchy or is empty.
    #[error("{} cannot name a cgroup", path.display())]
    Name {
        /// The name.
        path: PathBuf,
    },
    /// There is no cgroup file system.
    #[error("no cgroup file system is mounted at /sys/fs/cgroup")]
    NoHierarchy {
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The group cannot be made.
    #[error("could not make the cgroup {}", path.display())]
    Make {
        /// Its directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// This host has no such controller, or the caller may not use it.
    #[error(
        "{field} needs the cgroup controller {controller}, which this host does not offer{}",
        if rustix::process::geteuid().is_root() { "" } else { ", or has not delegated to this user" }
    )]
    NoController {
        /// The field of the configuration.
        field: String,
        /// The controller.
        controller: String,
    },
    /// The field has no meaning here.
    #[error("{field} is not supported: {reason}")]
    Unsupported {
        /// The field of the configuration.
        field: String,
        /// Why.
        reason: &'static str,
    },
    /// A limit is refused.
    #[error("could not apply {field}: writing \"{value}\" to {} failed", path.display())]
    Apply {
        /// The field of the configuration.
        field: String,
        /// The value.
        value: String,
        /// The file written to.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// More is in use than the new limit allows (`memory.checkBeforeUpdate`).
    #[error("could not apply {field}: {usage_bytes} bytes are in use, more than {limit_bytes}")]
    InUse {
        /// The field of the configuration.
        field: String,
        /// The limit asked for.
        limit_bytes: u64,
        /// What is in use.
        usage_bytes: u64,
    },
    /// The device rules are refused.
    #[error("could not apply linux.resources.devices to {}", path.display())]
    Devices {
        /// The group's directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The group cannot be entered.
    #[error("could not open {} to enter the cgroup", path.display())]
    Enter {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file of the group cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file of the group cannot be written.
    #[error("could not write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// systemd could not make, change or end the group's scope.
    #[error(transparent)]
    Systemd(#[from] super::SystemdError),
    /// The group's processes do not end, or do not stop.
    #[error("the processes of the cgroup {} did not {what} in time", path.display())]
    Timeout {
        /// The group's directory.
        path: PathBuf,
        /// What was awaited.
        what: &'static str,
    },
    /// The group cannot be removed.
    #[error("could not remove the cgroup {}", path.display())]
    Remove {
        /// Its directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}
