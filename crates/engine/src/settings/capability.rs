//! Names of capabilities, as in capabilities(7).

use thiserror::Error;

/// Every capability of Linux 6.1, without its `CAP_` prefix.
const NAMES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// A name that is no capability.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no capability '{0}' (capabilities(7) lists them; ALL means every one)")]
pub struct ParseCapabilityError(String);

/// Turns `net_admin`, `CAP_NET_ADMIN` or `all` into `CAP_NET_ADMIN` or `ALL`.
///
/// # Errors
/// A name that is not in capabilities(7) of Linux 6.1.
pub fn parse_capability(name: &str) -> Result<String, ParseCapabilityError> {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" {
        return Ok(upper);
    }
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    match NAMES.contains(&short) {
        true => Ok(format!("CAP_{short}")),
        false => Err(ParseCapabilityError(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_known_with_and_without_its_prefix_in_any_case() {
        for name in ["net_admin", "NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin"] {
            assert_eq!(parse_capability(name).unwrap(), "CAP_NET_ADMIN");
        }
        assert_eq!(parse_capability("all").unwrap(), "ALL");
    }

    #[test]
    fn an_unknown_capability_is_refused_by_name() {
        assert!(parse_capability("net_admni").unwrap_err().to_string().contains("'net_admni'"));
        assert!(parse_capability("").is_err());
    }
}
