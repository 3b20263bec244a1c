//! `--add-host`: lines for `/etc/hosts`.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A name and its address for `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The name.
    pub name: String,
    /// What it resolves to.
    pub addr: HostAddr,
}

/// The address of a [`HostEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostAddr {
    /// This address.
    Ip(IpAddr),
    /// The host, as seen from the sandbox; known once its network is made.
    HostGateway,
}

/// An `--add-host` that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseHostError {
    /// Not two fields.
    #[error("'{0}' is not NAME:ADDRESS")]
    Shape(String),
    /// A name that cannot stand in `/etc/hosts`.
    #[error("'{0}' is no host name")]
    Name(String),
    /// Not an address.
    #[error("'{0}' is neither an IP address nor host-gateway")]
    Address(String),
}

impl FromStr for HostEntry {
    type Err = ParseHostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, addr) =
            text.split_once([':', '=']).ok_or_else(|| ParseHostError::Shape(text.to_owned()))?;
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(ParseHostError::Name(name.to_owned()));
        }
        let bare = addr.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(addr);
        let addr = match bare {
            "host-gateway" => HostAddr::HostGateway,
            ip => HostAddr::Ip(ip.parse().map_err(|_| ParseHostError::Address(addr.to_owned()))?),
        };
        Ok(Self { name: name.to_owned(), addr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_an_address_of_either_family_are_read() {
        for (text, addr) in [("db:10.0.0.7", "10.0.0.7"), ("db:::1", "::1"), ("db:[fe80::2]", "fe80::2")] {
            let entry: HostEntry = text.parse().unwrap();
            assert_eq!(entry, HostEntry { name: "db".into(), addr: HostAddr::Ip(addr.parse().unwrap()) });
        }
        assert_eq!("h:host-gateway".parse::<HostEntry>().unwrap().addr, HostAddr::HostGateway);
    }

    #[test]
    fn a_line_break_cannot_be_smuggled_into_the_hosts_file() {
        for bad in ["db", ":1.2.3.4", "a\nb:1.2.3.4", "a b:1.2.3.4", "a:nowhere", "a:1.2.3.4\nx", "a:"] {
            assert!(bad.parse::<HostEntry>().is_err(), "{bad:?}");
        }
    }
}
