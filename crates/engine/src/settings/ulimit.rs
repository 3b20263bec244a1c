//! `--ulimit`: resource limits of setrlimit(2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A resource limit of setrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// The resource in lower case without `RLIMIT_`, such as `nofile`.
    pub name: String,
    /// The limit in force; `u64::MAX` means unlimited.
    pub soft: u64,
    /// What a process may raise it to; `u64::MAX` means unlimited.
    pub hard: u64,
}

/// A `--ulimit` that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseUlimitError {
    /// Not the right fields.
    #[error("'{0}' is not NAME=SOFT[:HARD], such as nofile=1024:2048")]
    Shape(String),
    /// No such resource.
    #[error("there is no resource limit '{0}' (getrlimit(2) lists them)")]
    Name(String),
    /// Soft above hard.
    #[error("the soft limit of '{0}' is above its hard limit")]
    SoftAboveHard(String),
}

const NAMES: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

impl FromStr for Ulimit {
    type Err = ParseUlimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = || ParseUlimitError::Shape(text.to_owned());
        let (name, limits) = text.split_once('=').ok_or_else(shape)?;
        let lower = name.to_ascii_lowercase();
        let short = lower.strip_prefix("rlimit_").unwrap_or(&lower);
        if !NAMES.contains(&short) {
            return Err(ParseUlimitError::Name(name.to_owned()));
        }
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (limit(soft).ok_or_else(shape)?, limit(hard).ok_or_else(shape)?);
        match soft <= hard {
            true => Ok(Self { name: short.to_owned(), soft, hard }),
            false => Err(ParseUlimitError::SoftAboveHard(text.to_owned())),
        }
    }
}

fn limit(text: &str) -> Option<u64> {
    match text {
        "-1" | "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |limit: u64| if limit == u64::MAX { "-1".to_owned() } else { limit.to_string() };
        write!(f, "{}={}:{}", self.name, shown(self.soft), shown(self.hard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_sets_both_limits() {
        for (text, shown) in [
            ("nofile=1024", "nofile=1024:1024"),
            ("nofile=1024:2048", "nofile=1024:2048"),
            ("RLIMIT_CORE=0:-1", "core=0:-1"),
            ("memlock=unlimited", "memlock=-1:-1"),
        ] {
            assert_eq!(text.parse::<Ulimit>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_limit_is_refused_by_name() {
        for bad in ["nofile", "nofile=", "nofile=a", "files=1", "nofile=2:1", "nofile=1:2:3", "nofile=-1:5"] {
            assert!(bad.parse::<Ulimit>().is_err(), "{bad}");
        }
    }
}
