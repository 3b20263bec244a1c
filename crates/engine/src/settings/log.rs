//! `--log-driver` and `--log-opt`: where output goes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{ParseSizeError, parse_size};

/// Where the workload's output goes, and how much of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSettings {
    /// The format.
    pub driver: LogDriver,
    /// Bytes after which a file is rotated; never where absent.
    pub max_size_bytes: Option<u64>,
    /// How many files are kept, the current one included.
    pub max_files: u32,
}

/// How output is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// The format of Kubernetes' CRI logs.
    #[default]
    K8sFile,
    /// Not at all.
    None,
}

/// A log setting that cannot be understood.
#[derive(Debug, Error)]
pub enum ParseLogError {
    /// A driver that does not exist here.
    #[error("log driver '{0}' is not supported; there are k8s-file and none")]
    Driver(String),
    /// An option that does not exist here.
    #[error("log option '{0}' is not supported; there are max-size and max-file")]
    Option(String),
    /// A size that is none.
    #[error("log option 'max-size={value}' is no size")]
    Size {
        /// What was given.
        value: String,
        /// Why it is none.
        source: ParseSizeError,
    },
    /// A count that is none.
    #[error("log option 'max-file={0}' is not a number of at least 1")]
    Files(String),
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { driver: LogDriver::default(), max_size_bytes: Some(16 << 20), max_files: 2 }
    }
}

impl LogSettings {
    /// Takes one `--log-opt`, `max-size=SIZE` (-1: unlimited) or `max-file=COUNT`, into account.
    ///
    /// # Errors
    /// An unknown option or a value that is no size or count.
    pub fn set(&mut self, option: &str) -> Result<(), ParseLogError> {
        match option.split_once('=') {
            Some(("max-size", "-1")) => self.max_size_bytes = None,
            Some(("max-size", value)) => {
                let size = parse_size(value);
                let bytes = size.map_err(|source| ParseLogError::Size { value: value.to_owned(), source })?;
                self.max_size_bytes = (bytes > 0).then_some(bytes);
            }
            Some(("max-file", value)) => {
                self.max_files = match value.parse() {
                    Ok(count) if count > 0 => count,
                    _ => return Err(ParseLogError::Files(value.to_owned())),
                }
            }
            _ => return Err(ParseLogError::Option(option.to_owned())),
        }
        Ok(())
    }
}

impl FromStr for LogDriver {
    type Err = ParseLogError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            // podman too takes Docker's name for the file it writes.
            "k8s-file" | "json-file" => Ok(Self::K8sFile),
            "none" => Ok(Self::None),
            other => Err(ParseLogError::Driver(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_count_of_log_files_can_be_set() {
        let mut log = LogSettings::default();
        log.set("max-size=10m").unwrap();
        log.set("max-file=5").unwrap();
        assert_eq!((log.max_size_bytes, log.max_files), (Some(10 << 20), 5));
        log.set("max-size=-1").unwrap();
        assert_eq!(log.max_size_bytes, None);
    }

    #[test]
    fn unknown_drivers_and_options_are_refused_by_name() {
        assert!("journald".parse::<LogDriver>().unwrap_err().to_string().contains("'journald'"));
        for bad in ["tag=x", "max-size", "max-size=lots", "max-file=0", "max-file=-1"] {
            assert!(LogSettings::default().set(bad).is_err(), "{bad}");
        }
    }
}
