//! What a sandbox is asked to be: plain data, one type per file, read from the words users write.
//!
//! A [`Settings`] is stored whole in the sandbox's definition, so everything here is serialisable and
//! knows nothing of the machine it will meet: whether a wish can be granted is decided when it is carried out.

mod capability;
mod create_request;
mod device;
mod dns;
mod env_file;
mod log;
mod network;
mod pull_policy;
mod registry_access;
mod resources;
mod restart;
mod seccomp_profile;
mod security;
mod signal;
mod size;
mod sysctl;
mod tmpfs;
mod ulimit;
mod volume;
mod volume_options;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use gaufre_image::Platform;
pub use gaufre_net::{AddedHost, PortMapping};

pub use capability::{ParseCapabilityError, parse_capability};
pub use create_request::CreateRequest;
pub use device::{DeviceMapping, ParseDeviceError};
pub use dns::Dns;
pub use env_file::{EnvFileError, read_env_file};
pub use log::{LogDriver, LogSettings, ParseLogError};
pub use network::{NetworkMode, ParseNetworkError};
pub use pull_policy::{ParsePullPolicyError, PullPolicy};
pub use registry_access::{ParseCredentialsError, RegistryAccess, parse_credentials};
pub use resources::{DEFAULT_PIDS_LIMIT, Resources};
pub use restart::{ParseRestartError, RestartPolicy};
pub use seccomp_profile::{SeccompProfileError, check_seccomp_profile};
pub use security::{ParseSecurityError, SeccompChoice, SecurityOptions};
pub use signal::{ParseSignalError, Signal};
pub use size::{ParseSizeError, parse_memory_swap, parse_size};
pub use sysctl::{ParseSysctlError, parse_sysctl};
pub use tmpfs::{ParseTmpfsError, TmpfsArg};
pub use ulimit::{ParseUlimitError, Ulimit};
pub use volume::{ParseVolumeError, VolumeArg, VolumeSource};
pub use volume_options::{ParseVolumeOptionError, Propagation, Relabel, VolumeOptions};

/// Bytes of `/dev/shm` unless asked otherwise: 64 MiB, as podman and Docker give.
pub const DEFAULT_SHM_SIZE_BYTES: u64 = 64 << 20;

/// Seconds that `stop` waits before it kills, unless asked otherwise.
pub const DEFAULT_STOP_TIMEOUT_S: u32 = 10;

/// What a sandbox is asked to be, apart from its image, command and mounts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Host name inside; the first 12 digits of the ID where absent.
    pub hostname: Option<String>,
    /// Labels of the user, on top of the image's.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the OCI bundle.
    pub annotations: BTreeMap<String, String>,
    /// Whether the workload gets a pseudo-terminal.
    pub terminal: bool,
    /// Whether stdin stays open while nobody is attached.
    pub stdin_open: bool,
    /// Which network it joins.
    pub network: NetworkMode,
    /// Ports published on the host.
    pub ports: Vec<PortMapping>,
    /// Whether every port that the image exposes is published on a free host port.
    pub publish_all: bool,
    /// Name resolution inside.
    pub dns: Dns,
    /// Lines added to `/etc/hosts`.
    pub add_hosts: Vec<AddedHost>,
    /// Limits on memory, processors and processes.
    pub resources: Resources,
    /// Bytes of `/dev/shm`.
    pub shm_size_bytes: u64,
    /// Whether the root filesystem is read-only.
    pub read_only: bool,
    /// Whether the workload gets nearly everything the host's root has.
    pub privileged: bool,
    /// Whether a small init runs as process 1, forwards signals and reaps orphans.
    pub init: bool,
    /// Capabilities added, as `CAP_…` or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities taken away, as `CAP_…` or `ALL`.
    pub cap_drop: Vec<String>,
    /// seccomp, no_new_privs, masked paths.
    pub security: SecurityOptions,
    /// Devices of the host given to the sandbox.
    pub devices: Vec<DeviceMapping>,
    /// Resource limits of setrlimit(2).
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters set inside the sandbox's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Supplementary groups, by name or number.
    pub groups: Vec<String>,
    /// What happens when the workload ends.
    pub restart: RestartPolicy,
    /// Whether the sandbox is removed when the workload has ended.
    pub remove_on_exit: bool,
    /// Signal that asks the workload to end; the image's, else SIGTERM, where absent.
    pub stop_signal: Option<Signal>,
    /// Seconds that `stop` waits before it kills.
    pub stop_timeout_s: u32,
    /// Where output goes.
    pub log: LogSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            terminal: false,
            stdin_open: false,
            network: NetworkMode::default(),
            ports: Vec::new(),
            publish_all: false,
            dns: Dns::default(),
            add_hosts: Vec::new(),
            resources: Resources::default(),
            shm_size_bytes: DEFAULT_SHM_SIZE_BYTES,
            read_only: false,
            privileged: false,
            init: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            security: SecurityOptions::default(),
            devices: Vec::new(),
            ulimits: Vec::new(),
            sysctls: BTreeMap::new(),
            groups: Vec::new(),
            restart: RestartPolicy::default(),
            remove_on_exit: false,
            stop_signal: None,
            stop_timeout_s: DEFAULT_STOP_TIMEOUT_S,
            log: LogSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_being_stored_and_read_back() {
        let mut settings = Settings {
            network: NetworkMode::Container("web".into()),
            restart: RestartPolicy::OnFailure { max: Some(3) },
            stop_signal: Some("QUIT".parse().unwrap()),
            ..Settings::default()
        };
        settings.resources.cpus = Some(1.5);
        settings.add_hosts.push("db:10.0.0.7".parse().unwrap());
        let stored = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&stored).unwrap(), settings);
    }

    #[test]
    fn a_definition_of_an_older_version_gets_defaults_for_what_it_lacks() {
        let read: Settings = serde_json::from_str("{\"read_only\":true}").unwrap();
        assert!(read.read_only);
        assert_eq!(read.resources.pids_limit, Some(DEFAULT_PIDS_LIMIT));
        assert_eq!(read.shm_size_bytes, 64 << 20);
    }
}
