//! `--network`: which network a sandbox joins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Which network a sandbox joins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// A network of its own with nothing but loopback.
    None,
    /// The host's.
    Host,
    /// The default bridge, with NAT to the outside.
    #[default]
    Bridge,
    /// The one of another sandbox, given by name or ID.
    Container(String),
}

/// A network that cannot be joined.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseNetworkError {
    /// Unknown.
    #[error("network '{0}' is not supported; there are bridge, host, none and container:NAME")]
    Unsupported(String),
    /// `container:` without a name.
    #[error("'container:' lacks the name of the container whose network to join")]
    NoContainer,
}

impl NetworkMode {
    /// Whether the sandbox gets a network namespace that nobody else has.
    #[must_use]
    pub fn is_own(&self) -> bool {
        matches!(self, Self::None | Self::Bridge)
    }
}

impl FromStr for NetworkMode {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "host" => Ok(Self::Host),
            // podman's default network, and Docker's.
            "bridge" | "default" | "podman" => Ok(Self::Bridge),
            _ => match text.strip_prefix("container:") {
                Some("") => Err(ParseNetworkError::NoContainer),
                Some(name) => Ok(Self::Container(name.to_owned())),
                None => Err(ParseNetworkError::Unsupported(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for NetworkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Bridge => f.write_str("bridge"),
            Self::Container(name) => write!(f, "container:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_read_and_printed_alike() {
        for text in ["none", "host", "bridge", "container:web"] {
            assert_eq!(text.parse::<NetworkMode>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_networks_are_refused_by_name() {
        for bad in ["slirp4netns", "mynet", "container:", "ns:/proc/1/ns/net", ""] {
            let error = bad.parse::<NetworkMode>().unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
    }
}
