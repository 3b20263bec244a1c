//! `-v`: a directory of the host, or a volume, inside the sandbox.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ParseVolumeOptionError, VolumeOptions};

/// Something mounted into the sandbox: a path of the host or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeArg {
    /// What is mounted.
    pub source: VolumeSource,
    /// Where it is mounted inside: absolute, without `.` and `..`.
    pub destination: PathBuf,
    /// How it is mounted.
    pub options: VolumeOptions,
}

/// What a [`VolumeArg`] mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeSource {
    /// A path of the host; one that begins with `.` is relative to the user's working directory.
    Host(PathBuf),
    /// A volume of this name, made when it does not exist.
    Named(String),
    /// A new volume that lives as long as the sandbox.
    Anonymous,
}

/// A `-v` that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseVolumeError {
    /// Not the right fields.
    #[error("volume '{0}' is not [SOURCE:]DESTINATION[:OPTIONS]")]
    Shape(String),
    /// The place inside is no absolute path below the root.
    #[error("volume destination '{0}' is not an absolute path below /")]
    Destination(String),
    /// Neither a path nor a name.
    #[error(
        "volume source '{0}' is neither a path (beginning with / or .) nor a name made of letters, digits, '_', '.' and '-'"
    )]
    Source(String),
    /// An option that does not exist or contradicts another.
    #[error("volume '{volume}' cannot be mounted as asked")]
    Option {
        /// The whole argument.
        volume: String,
        /// Which option, and why.
        source: ParseVolumeOptionError,
    },
}

impl FromStr for VolumeArg {
    type Err = ParseVolumeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.split(':').collect();
        let (source, destination, options) = match fields[..] {
            [destination] => (None, destination, ""),
            // `/data:ro` has nothing to mount at `ro`: a place is a path.
            [source, destination] => (Some(source), destination, ""),
            [source, destination, options] => (Some(source), destination, options),
            _ => return Err(ParseVolumeError::Shape(text.to_owned())),
        };
        let source = match source {
            None => VolumeSource::Anonymous,
            Some(source) => source.parse()?,
        };
        let options =
            options.parse().map_err(|source| ParseVolumeError::Option { volume: text.to_owned(), source })?;
        Ok(Self { source, destination: clean(destination)?, options })
    }
}

impl FromStr for VolumeSource {
    type Err = ParseVolumeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(['/', '.']) {
            return Ok(Self::Host(text.into()));
        }
        let named = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        match named {
            true => Ok(Self::Named(text.to_owned())),
            false => Err(ParseVolumeError::Source(text.to_owned())),
        }
    }
}

/// Resolves `.` and `..` by the text alone, as podman does for a place inside.
pub(super) fn clean(path: &str) -> Result<PathBuf, ParseVolumeError> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    match path.starts_with('/') && !parts.is_empty() {
        true => Ok(PathBuf::from(format!("/{}", parts.join("/")))),
        false => Err(ParseVolumeError::Destination(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_names_and_anonymous_volumes_are_told_apart() {
        let source = |text: &str| text.parse::<VolumeArg>().unwrap().source;
        assert_eq!(source("/srv:/data"), VolumeSource::Host("/srv".into()));
        assert_eq!(source("./x:/data"), VolumeSource::Host("./x".into()));
        assert_eq!(source("pg-data:/data"), VolumeSource::Named("pg-data".into()));
        assert_eq!(source("/data"), VolumeSource::Anonymous);
    }

    #[test]
    fn a_place_inside_is_cleaned_by_its_text() {
        let place = |text: &str| text.parse::<VolumeArg>().unwrap().destination;
        assert_eq!(place("/srv:/a/./b//c/../d/"), PathBuf::from("/a/b/d"));
        assert_eq!(place("/srv:/../../etc"), PathBuf::from("/etc"));
    }

    #[test]
    fn options_come_last() {
        let volume: VolumeArg = "/srv:/data:ro,Z".parse().unwrap();
        assert!(volume.options.read_only);
        let error = "/srv:/data:ro,rw".parse::<VolumeArg>().unwrap_err();
        assert!(matches!(error, ParseVolumeError::Option { .. }));
    }

    #[test]
    fn what_cannot_be_mounted_is_refused_by_name() {
        for bad in [
            "",
            ":",
            "data",
            "/a:b",
            "/srv:",
            ":/data",
            "/srv:/",
            "/srv:/x/..",
            "a b:/x",
            "_x:/y",
            "a:/b:ro:x",
        ] {
            assert!(bad.parse::<VolumeArg>().is_err(), "{bad}");
        }
    }
}
