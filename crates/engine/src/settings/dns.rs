//! `--dns`, `--dns-search`, `--dns-option`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Name resolution inside the sandbox; where a list is empty the host's is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// Search domains; a single `.` means none.
    pub search: Vec<String>,
    /// Options as in resolv.conf(5).
    pub options: Vec<String>,
}
