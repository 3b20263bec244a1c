//! The options after the second colon of `-v`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a volume is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeOptions {
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Whether mounts below the source come along (`rbind`, the default).
    pub recursive: bool,
    /// How later mounts below it travel.
    pub propagation: Propagation,
    /// Whether a new volume stays empty instead of getting what the image has there.
    pub no_copy: bool,
    /// SELinux label wished for; without SELinux nothing is done.
    pub relabel: Option<Relabel>,
    /// Whether the source's owner is changed to the workload's user (`U`).
    pub chown: bool,
    /// Whether programs on it may run; where absent, as on the mount it comes from.
    pub exec: Option<bool>,
    /// Whether set-user-ID programs on it gain rights; where absent, as on the mount that a host path comes
    /// from, and not for a named volume.
    pub suid: Option<bool>,
    /// Whether device nodes on it work; where absent, as `suid`.
    pub dev: Option<bool>,
}

/// How mounts travel between the host and a volume, as in mount_namespaces(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Propagation {
    /// Not at all, below this mount only.
    Private,
    /// Not at all.
    #[default]
    RPrivate,
    /// Both ways, this mount only.
    Shared,
    /// Both ways.
    RShared,
    /// From the host only, this mount only.
    Slave,
    /// From the host only.
    RSlave,
}

/// Which SELinux label is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relabel {
    /// One that all sandboxes share (`z`).
    Shared,
    /// One of this sandbox alone (`Z`).
    Private,
}

/// An option that cannot be granted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseVolumeOptionError {
    /// Unknown.
    #[error("volume option '{0}' is not supported")]
    Unsupported(String),
    /// Two options that exclude each other.
    #[error("volume option '{0}' contradicts one before it")]
    Contradiction(String),
}

impl Default for VolumeOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            recursive: true,
            propagation: Propagation::default(),
            no_copy: false,
            relabel: None,
            chown: false,
            exec: None,
            suid: None,
            dev: None,
        }
    }
}

impl FromStr for VolumeOptions {
    type Err = ParseVolumeOptionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut options = Self::default();
        let mut seen: Vec<&'static str> = Vec::new();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let group =
                options.set(option).ok_or_else(|| ParseVolumeOptionError::Unsupported(option.to_owned()))?;
            if seen.contains(&group) {
                return Err(ParseVolumeOptionError::Contradiction(option.to_owned()));
            }
            seen.push(group);
        }
        Ok(options)
    }
}

impl VolumeOptions {
    /// Sets one option and gives the name of the question it answers, of which each may be answered once.
    fn set(&mut self, option: &str) -> Option<&'static str> {
        let group = match option {
            "ro" | "rw" => "write",
            "bind" | "rbind" => "recursion",
            "exec" | "noexec" => "exec",
            "suid" | "nosuid" => "suid",
            "dev" | "nodev" => "dev",
            "copy" | "nocopy" => "copy",
            "z" | "Z" => "label",
            "U" => "chown",
            _ => "propagation",
        };
        match option {
            "ro" | "rw" => self.read_only = option == "ro",
            "bind" | "rbind" => self.recursive = option == "rbind",
            "exec" | "noexec" => self.exec = Some(option == "exec"),
            "suid" | "nosuid" => self.suid = Some(option == "suid"),
            "dev" | "nodev" => self.dev = Some(option == "dev"),
            "copy" | "nocopy" => self.no_copy = option == "nocopy",
            "z" => self.relabel = Some(Relabel::Shared),
            "Z" => self.relabel = Some(Relabel::Private),
            "U" => self.chown = true,
            "private" => self.propagation = Propagation::Private,
            "rprivate" => self.propagation = Propagation::RPrivate,
            "shared" => self.propagation = Propagation::Shared,
            "rshared" => self.propagation = Propagation::RShared,
            "slave" => self.propagation = Propagation::Slave,
            "rslave" => self.propagation = Propagation::RSlave,
            _ => return None,
        }
        Some(group)
    }
}

impl Propagation {
    /// The option's name, as in mount(8) and the runtime specification.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::RPrivate => "rprivate",
            Self::Shared => "shared",
            Self::RShared => "rshared",
            Self::Slave => "slave",
            Self::RSlave => "rslave",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_options_a_volume_is_writable_and_takes_the_rest_from_its_source() {
        let options: VolumeOptions = "".parse().unwrap();
        assert!(!options.read_only && options.recursive);
        assert_eq!((options.exec, options.suid, options.dev), (None, None, None));
    }

    #[test]
    fn each_option_is_read() {
        let options: VolumeOptions = "ro,bind,rslave,nocopy,Z,U,noexec,suid,dev".parse().unwrap();
        let expect = VolumeOptions {
            read_only: true,
            recursive: false,
            propagation: Propagation::RSlave,
            no_copy: true,
            relabel: Some(Relabel::Private),
            chown: true,
            exec: Some(false),
            suid: Some(true),
            dev: Some(true),
        };
        assert_eq!(options, expect);
    }

    #[test]
    fn contradictions_and_unknown_options_are_refused_by_name() {
        for (bad, named) in [("ro,rw", "rw"), ("shared,private", "private"), ("z,Z", "Z")] {
            assert_eq!(
                bad.parse::<VolumeOptions>(),
                Err(ParseVolumeOptionError::Contradiction(named.into()))
            );
        }
        for bad in ["O", "upperdir=/x", "idmap", "RO"] {
            assert_eq!(bad.parse::<VolumeOptions>(), Err(ParseVolumeOptionError::Unsupported(bad.into())));
        }
    }
}
