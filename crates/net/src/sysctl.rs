//! Network settings under /proc/sys/net, which is that of the calling thread's network namespace (proc_sys_net(5)).

use std::fs;
use std::io;
use std::path::PathBuf;

/// A setting that cannot be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", .path.display())]
pub struct SysctlError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Whether this machine forwards IPv4 packets (`net.ipv4.ip_forward`).
pub(crate) fn ip_forward() -> Result<bool, SysctlError> {
    is_on(ip_forward_path())
}

pub(crate) fn set_ip_forward(on: bool) -> Result<(), SysctlError> {
    write(ip_forward_path(), if on { "1" } else { "0" })
}

/// Lets replies to connections from 127.0.0.1 come back in by the bridge. A rule of our table keeps everything else
/// that is addressed to 127.0.0.0/8 out.
pub(crate) fn set_route_localnet(bridge: &str) -> Result<(), SysctlError> {
    write(route_localnet_path(bridge), "1")
}

pub(crate) fn route_localnet(bridge: &str) -> Result<bool, SysctlError> {
    is_on(route_localnet_path(bridge))
}

/// Keeps a sandbox from telling this machine where to send its packets: no router advertisements or anything else of
/// IPv6, which sandboxes are not offered (CVE-2020-13401), and no ICMP redirects; none are sent to it either.
pub(crate) fn distrust(bridge: &str) -> Result<(), SysctlError> {
    for setting in ["accept_redirects", "send_redirects"] {
        write(PathBuf::from(format!("/proc/sys/net/ipv4/conf/{bridge}/{setting}")), "0")?;
    }
    disable_ipv6(bridge)
}

/// A kernel without IPv6 has nothing to switch off.
pub(crate) fn disable_ipv6(link: &str) -> Result<(), SysctlError> {
    match write(disable_ipv6_path(link), "1") {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Whether a link takes in IPv6, as it does unless told otherwise.
pub(crate) fn has_ipv6(link: &str) -> Result<bool, SysctlError> {
    match is_on(disable_ipv6_path(link)) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(false),
        disabled => disabled.map(|disabled| !disabled),
    }
}

fn disable_ipv6_path(link: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6"))
}

fn route_localnet_path(bridge: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"))
}

fn ip_forward_path() -> PathBuf {
    PathBuf::from("/proc/sys/net/ipv4/ip_forward")
}

fn is_on(path: PathBuf) -> Result<bool, SysctlError> {
    match fs::read(&path) {
        Ok(text) => Ok(text.first() == Some(&b'1')),
        Err(source) => Err(SysctlError { what: "read", path, source }),
    }
}

fn write(path: PathBuf, value: &str) -> Result<(), SysctlError> {
    fs::write(&path, value).map_err(|source| SysctlError { what: "write", path, source })
}
