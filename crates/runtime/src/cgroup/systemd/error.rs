//! What can go wrong with systemd.

use std::io;
use std::path::PathBuf;

/// A failure concerning systemd as the maker of groups.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// `linux.cgroupsPath` is of another form.
    #[error("linux.cgroupsPath \"{path}\" is not of the form slice:prefix:name, which systemd needs")]
    Path {
        /// The path.
        path: String,
    },
    /// The part of it that stands for the slice is no slice's name.
    #[error("linux.cgroupsPath: \"{slice}\" is not the name of a slice")]
    Slice {
        /// The slice.
        slice: String,
    },
    /// Units have limits on cgroup v2 only here.
    #[error("systemd as the cgroup manager needs a host with cgroup v2 alone")]
    NotV2,
    /// Nothing listens.
    #[error("could not reach systemd at {}", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The environment names no user manager.
    #[error("could not find the user's systemd: neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set")]
    NoUserManager,
    /// It does not know us.
    #[error("systemd refused the connection: it does not accept this user")]
    Rejected,
    /// The connection broke.
    #[error("the connection to systemd broke")]
    Talk(#[source] io::Error),
    /// It did not answer.
    #[error("systemd did not answer in time")]
    Timeout,
    /// It answered what is not D-Bus.
    #[error("systemd's answer could not be understood")]
    Garbled,
    /// It said no.
    #[error("systemd refused {call}: {reason} ({name})")]
    Refused {
        /// The method.
        call: String,
        /// The error's name.
        name: String,
        /// Its reason.
        reason: String,
    },
    /// The job did not end well.
    #[error("systemd could not start {unit}: the job ended as {result}")]
    Job {
        /// The unit.
        unit: String,
        /// The job's result.
        result: String,
    },
    /// The processes could not be found where systemd should have put them.
    #[error("systemd did not make the cgroup {} for {unit}", path.display())]
    Elsewhere {
        /// The unit.
        unit: String,
        /// Where the group should be.
        path: PathBuf,
    },
    /// An annotation `org.systemd.property.*` cannot be passed on.
    #[error("the annotation org.systemd.property.{name} has a value that is not understood: {value}")]
    Annotation {
        /// The property.
        name: String,
        /// The value.
        value: String,
    },
}

impl SystemdError {
    /// Whether it says that there is no such unit (any more).
    pub(super) fn is_unknown_unit(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "org.freedesktop.systemd1.NoSuchUnit")
    }

    /// Whether it says that a unit of that name is there already, if only as failed.
    pub(super) fn is_known_unit(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "org.freedesktop.systemd1.UnitExists")
    }
}
