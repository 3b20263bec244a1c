//! `--restart`: what happens when the workload ends.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What happens when the workload ends without having been stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    No,
    /// It is started again.
    Always,
    /// It is started again if its exit code was not 0.
    OnFailure {
        /// At most this many times; without end where absent.
        max: Option<u32>,
    },
    /// As `Always`; one that was stopped stays so when the host boots.
    UnlessStopped,
}

/// A policy that does not exist.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseRestartError {
    /// Unknown.
    #[error("'{0}' is no restart policy; there are no, always, on-failure[:COUNT] and unless-stopped")]
    Unknown(String),
    /// A count after a colon that is none.
    #[error("restart policy '{0}' has a count that is not a number")]
    Count(String),
}

impl FromStr for RestartPolicy {
    type Err = ParseRestartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "no" | "never" | "" => Ok(Self::No),
            "always" => Ok(Self::Always),
            "on-failure" => Ok(Self::OnFailure { max: None }),
            "unless-stopped" => Ok(Self::UnlessStopped),
            _ => match text.strip_prefix("on-failure:").map(str::parse) {
                // podman reads 0 as without end.
                Some(Ok(0)) => Ok(Self::OnFailure { max: None }),
                Some(Ok(count)) => Ok(Self::OnFailure { max: Some(count) }),
                Some(Err(_)) => Err(ParseRestartError::Count(text.to_owned())),
                None => Err(ParseRestartError::Unknown(text.to_owned())),
            },
        }
    }
}

impl RestartPolicy {
    /// The policy's name without its count, as inspect shows it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Always => "always",
            Self::OnFailure { .. } => "on-failure",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::OnFailure { max: Some(max) } => write!(f, ":{max}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_read_and_printed_alike() {
        for text in ["no", "always", "on-failure", "on-failure:3", "unless-stopped"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_policies_are_refused_by_name() {
        for bad in ["sometimes", "on-failure:", "on-failure:-1", "always:3"] {
            assert!(bad.parse::<RestartPolicy>().unwrap_err().to_string().contains(bad));
        }
    }
}
