//! `--tmpfs`: a temporary filesystem inside the sandbox.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A temporary filesystem inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsArg {
    /// Where it is mounted.
    pub path: PathBuf,
    /// Mount options as given, such as `size=64m` or `ro`.
    pub options: Vec<String>,
}

/// A `--tmpfs` that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseTmpfsError {
    /// The mount point is no absolute path below the root.
    #[error("tmpfs mount point '{0}' is not an absolute path below /")]
    Path(String),
    /// An option that tmpfs does not have, or that we do not.
    #[error("tmpfs option '{0}' is not supported")]
    Option(String),
    /// podman's own option.
    #[error("tmpfs option 'tmpcopyup' is not supported: the mount begins empty")]
    CopyUp,
}

const FLAGS: [&str; 13] = [
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "async",
    "atime",
    "noatime",
    "relatime",
    "norelatime",
];
const KEYS: [&str; 6] = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"];

impl FromStr for TmpfsArg {
    type Err = ParseTmpfsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, options) = text.split_once(':').unwrap_or((text, ""));
        if !path.starts_with('/')
            || path.trim_end_matches('/').is_empty()
            || path.split('/').any(|p| p == "..")
        {
            return Err(ParseTmpfsError::Path(path.to_owned()));
        }
        // Not copying up is what we do anyway, and nothing that the kernel knows.
        let options = options.split(',').filter(|option| !matches!(*option, "" | "notmpcopyup"));
        let options: Vec<String> = options.map(str::to_owned).collect();
        for option in &options {
            let known = match option.split_once('=') {
                Some((key, value)) => KEYS.contains(&key) && !value.is_empty(),
                None if option == "tmpcopyup" => return Err(ParseTmpfsError::CopyUp),
                None => FLAGS.contains(&option.as_str()),
            };
            if !known {
                return Err(ParseTmpfsError::Option(option.clone()));
            }
        }
        Ok(Self { path: path.into(), options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_and_without_options_is_read() {
        assert_eq!("/run".parse(), Ok(TmpfsArg { path: "/run".into(), options: vec![] }));
        let sized: TmpfsArg = "/tmp:size=64m,mode=1777,noexec".parse().unwrap();
        assert_eq!(sized.options, ["size=64m", "mode=1777", "noexec"]);
    }

    #[test]
    fn what_is_not_honoured_is_refused_by_name() {
        for option in ["tmpcopyup", "sync", "huge=always"] {
            let refusal = format!("/tmp:rw,{option}").parse::<TmpfsArg>().unwrap_err().to_string();
            assert!(refusal.contains(&format!("'{option}'")), "{refusal}");
        }
        assert_eq!("/tmp:rw,notmpcopyup".parse::<TmpfsArg>().unwrap().options, ["rw"]);
    }

    #[test]
    fn the_root_and_unknown_options_are_refused() {
        for bad in ["", "/", "//", "tmp", "/a/../b", "/tmp:huge=always", "/tmp:size=", "/tmp:bind"] {
            assert!(bad.parse::<TmpfsArg>().is_err(), "{bad}");
        }
    }
}
