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
    /// A value that the kernel would refuse.
    #[error("tmpfs option '{0}' has no usable value: write size=64m, mode=1777 or a whole number")]
    Value(String),
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
                Some((key, value)) if KEYS.contains(&key) => {
                    if !fits(key, value) {
                        return Err(ParseTmpfsError::Value(option.clone()));
                    }
                    true
                }
                Some(_) => false,
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

/// Whether the kernel can read the value (tmpfs(5)): octal digits, a size with a unit or as a part of memory, a count.
fn fits(key: &str, value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let counted = |text: &str| digits(text.strip_suffix(|c: char| "kKmMgGtT".contains(c)).unwrap_or(text));
    match key {
        "mode" => (1..=5).contains(&value.len()) && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte)),
        "size" => counted(value.strip_suffix('%').unwrap_or(value)),
        "uid" | "gid" => value.parse::<u32>().is_ok(),
        _ => counted(value),
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
    fn a_value_that_the_kernel_cannot_read_is_refused_by_name() {
        for option in ["size=big", "size=", "size=64mb", "mode=9z", "mode=u+x", "uid=root", "nr_inodes=-1"] {
            let refusal = format!("/tmp:{option}").parse::<TmpfsArg>().unwrap_err().to_string();
            assert!(refusal.contains(&format!("'{option}'")), "{refusal}");
        }
        for option in ["size=64m", "size=50%", "size=1073741824", "mode=0755", "uid=0", "nr_inodes=10k"] {
            assert!(format!("/tmp:{option}").parse::<TmpfsArg>().is_ok(), "{option}");
        }
    }

    #[test]
    fn the_root_and_unknown_options_are_refused() {
        for bad in ["", "/", "//", "tmp", "/a/../b", "/tmp:huge=always", "/tmp:size=", "/tmp:bind"] {
            assert!(bad.parse::<TmpfsArg>().is_err(), "{bad}");
        }
    }
}
