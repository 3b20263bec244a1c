//! `--sysctl`: kernel parameters of the sandbox's own namespaces.

use thiserror::Error;

/// A `--sysctl` that cannot be granted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseSysctlError {
    /// Not two fields.
    #[error("'{0}' is not NAME=VALUE")]
    Shape(String),
    /// It would change the host.
    #[error("kernel parameter '{0}' belongs to no namespace: setting it would change the host")]
    NotNamespaced(String),
}

const NAMESPACED: [&str; 9] = [
    "kernel.domainname",
    "kernel.hostname",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
];

/// Splits `NAME=VALUE`. A name is given back with dots between its parts, or with slashes if a part has dots in it, as the
/// runtime takes it.
///
/// # Errors
/// A text without `=`, and a parameter that is not the namespace's own (namespaces(7)).
pub fn parse_sysctl(text: &str) -> Result<(String, String), ParseSysctlError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => (name.trim(), value.trim()),
        _ => return Err(ParseSysctlError::Shape(text.to_owned())),
    };
    // As sysctl(8) reads it: if the first separator is a slash, dots belong to the name (of an interface, say).
    let dotted = match name.find(['.', '/']).map(|at| &name[at..=at]) {
        Some("/") => exchanged(name),
        _ => name.to_owned(),
    };
    let own = NAMESPACED.contains(&dotted.as_str())
        || dotted == "kernel.shm_rmid_forced"
        || dotted.starts_with("net.")
        || dotted.starts_with("fs.mqueue.");
    // What stands for a dot in a file's name could spell `..` below /proc/sys.
    let plain = dotted.split('.').all(|part| !part.is_empty() && part.chars().any(|c| c != '/'));
    match own && plain {
        true if dotted.contains('/') => Ok((exchanged(&dotted), value.to_owned())),
        true => Ok((dotted, value.to_owned())),
        false => Err(ParseSysctlError::NotNamespaced(name.to_owned())),
    }
}

/// The other spelling of a name, with dots for slashes and slashes for dots.
fn exchanged(name: &str) -> String {
    let exchange = |c| match c {
        '/' => '.',
        '.' => '/',
        other => other,
    };
    name.chars().map(exchange).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_namespace_are_read_in_both_spellings() {
        let expect = ("net.ipv4.ip_forward".to_owned(), "1".to_owned());
        assert_eq!(parse_sysctl("net.ipv4.ip_forward=1"), Ok(expect.clone()));
        assert_eq!(parse_sysctl("net/ipv4/ip_forward = 1"), Ok(expect));
        let expect = ("net/ipv4/conf/eth0.5/forwarding".to_owned(), "1".to_owned());
        assert_eq!(parse_sysctl("net/ipv4/conf/eth0.5/forwarding=1"), Ok(expect.clone()));
        assert_eq!(parse_sysctl("net.ipv4.conf.eth0/5.forwarding=1"), Ok(expect));
    }

    #[test]
    fn a_parameter_of_the_host_is_refused_by_name() {
        for bad in [
            "kernel.core_pattern=|/x",
            "vm.overcommit_memory=1",
            "net/../kernel/panic=1",
            "net..x=1",
            "=1",
            "x",
        ] {
            assert!(parse_sysctl(bad).is_err(), "{bad}");
        }
    }
}
