//! `--pull`: when the registry is asked.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// When the registry is asked for an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullPolicy {
    /// Always; it is an error if it cannot be reached.
    Always,
    /// Where the image is not in the store.
    #[default]
    Missing,
    /// Never.
    Never,
    /// Always, but an image in the store will do if the registry cannot be reached.
    Newer,
}

/// A policy that does not exist.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("'{0}' is no pull policy; there are always, missing, never and newer")]
pub struct ParsePullPolicyError(String);

impl FromStr for PullPolicy {
    type Err = ParsePullPolicyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always" | "true" => Ok(Self::Always),
            "missing" | "ifmissing" | "false" => Ok(Self::Missing),
            "never" => Ok(Self::Never),
            "newer" | "ifnewer" => Ok(Self::Newer),
            other => Err(ParsePullPolicyError(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_read_and_others_are_refused_by_name() {
        assert_eq!("always".parse(), Ok(PullPolicy::Always));
        assert_eq!("missing".parse(), Ok(PullPolicy::Missing));
        assert_eq!("never".parse(), Ok(PullPolicy::Never));
        assert_eq!("newer".parse(), Ok(PullPolicy::Newer));
        assert!("sometimes".parse::<PullPolicy>().unwrap_err().to_string().contains("'sometimes'"));
    }
}
