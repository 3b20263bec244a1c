//! `--device`: a device of the host inside the sandbox.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A device node, or a directory of them, of the host that the sandbox may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceMapping {
    /// Path on the host.
    pub host: PathBuf,
    /// Path inside.
    pub container: PathBuf,
    /// What is allowed, letters out of `rwm` (read, write, mknod).
    pub access: String,
}

/// A `--device` that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseDeviceError {
    /// More fields than there are.
    #[error("device '{0}' is not HOST[:CONTAINER][:rwm]")]
    Shape(String),
    /// Not an absolute path.
    #[error("device path '{0}' is not absolute")]
    Relative(String),
    /// Access letters that do not exist.
    #[error("device access '{0}' is not made of the letters r, w and m")]
    Access(String),
    /// The Container Device Interface.
    #[error("device '{0}' names a CDI device, which is not supported; give the path of a device node")]
    Cdi(String),
}

impl FromStr for DeviceMapping {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fields: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match fields[..] {
            [host] => (host, host, "rwm"),
            [host, second] if second.starts_with('/') => (host, second, "rwm"),
            [host, access] => (host, host, access),
            [host, container, access] => (host, container, access),
            _ => return Err(ParseDeviceError::Shape(text.to_owned())),
        };
        if !host.starts_with('/') && host.contains('/') && host.contains('=') {
            return Err(ParseDeviceError::Cdi(text.to_owned()));
        }
        for path in [host, container] {
            if !path.starts_with('/') {
                return Err(ParseDeviceError::Relative(path.to_owned()));
            }
        }
        if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
            return Err(ParseDeviceError::Access(access.to_owned()));
        }
        Ok(Self { host: host.into(), container: container.into(), access: access.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String, String) {
        let device: DeviceMapping = text.parse().unwrap();
        (device.host.display().to_string(), device.container.display().to_string(), device.access)
    }

    #[test]
    fn the_path_inside_and_the_access_may_be_left_out() {
        let expect = |host: &str, inside: &str, access: &str| (host.into(), inside.into(), access.into());
        assert_eq!(parsed("/dev/fuse"), expect("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(parsed("/dev/fuse:r"), expect("/dev/fuse", "/dev/fuse", "r"));
        assert_eq!(parsed("/dev/sda:/dev/xvda"), expect("/dev/sda", "/dev/xvda", "rwm"));
        assert_eq!(parsed("/dev/sda:/dev/xvda:rw"), expect("/dev/sda", "/dev/xvda", "rw"));
    }

    #[test]
    fn what_is_no_device_is_refused_by_name() {
        for bad in ["", "fuse", "/dev/fuse:", "/dev/fuse:rx", "/a:/b:r:w", "/a:b:rw", "nvidia.com/gpu=all"] {
            assert!(bad.parse::<DeviceMapping>().is_err(), "{bad}");
        }
    }
}
