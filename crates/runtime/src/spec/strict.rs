//! A field that is set and not honoured is an error that names it: nothing is silently ignored. What is handled only
//! in some of its values (mount options, limits, filters) is checked where it is handled.

use std::path::PathBuf;

use oci_spec::runtime::{Linux, Process, Spec};

/// A field of the configuration that is missing or not honoured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The field is set, and this runtime does not honour it.
    #[error("{field} in the configuration is not supported")]
    Unsupported {
        /// Its name, from the root.
        field: &'static str,
    },
    /// The field is needed.
    #[error("{field} is missing in the configuration")]
    Missing {
        /// Its name, from the root.
        field: &'static str,
    },
    /// It cannot be read.
    #[error("could not read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is longer than [`super::LONGEST_BYTES`].
    #[error("the configuration is longer than {} bytes", super::LONGEST_BYTES)]
    TooLong,
    /// It is not what the specification describes.
    #[error("the configuration is not valid")]
    Json(#[source] serde_json::Error),
    /// The specification's version is another one.
    #[error("ociVersion {version} is not 1.x")]
    Version {
        /// The version found.
        version: String,
    },
}

/// Checks every field of `spec` that is not looked at elsewhere.
pub(crate) fn check(spec: &Spec) -> Result<(), SpecError> {
    if !is_version_1(spec.version()) {
        return Err(SpecError::Version { version: spec.version().clone() });
    }
    refuse(spec.solaris().is_some(), "solaris")?;
    refuse(spec.windows().is_some(), "windows")?;
    refuse(spec.vm().is_some(), "vm")?;
    refuse(spec.zos().is_some(), "zos")?;
    refuse(any(spec.uid_mappings().as_deref()), "uidMappings")?;
    refuse(any(spec.gid_mappings().as_deref()), "gidMappings")?;
    spec.process().as_ref().map_or(Ok(()), check_process)?;
    check_linux(spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?)
}

/// Whether it is a version 1 as semver.org writes versions: config.md, "Specification version".
fn is_version_1(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |number: &&str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    matches!(numbers[..], ["1", _, _]) && numbers.iter().all(is_number)
}

/// Checks a process, the container's own or one to be executed in it.
pub(crate) fn check_process(process: &Process) -> Result<(), SpecError> {
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    refuse(set(process.command_line()), "process.commandLine")?;
    refuse(set(process.user().username()), "process.user.username")
}

fn check_linux(linux: &Linux) -> Result<(), SpecError> {
    refuse(linux.intel_rdt().is_some(), "linux.intelRdt")?;
    let flags = linux.personality().as_ref().and_then(|personality| personality.flags().as_deref());
    refuse(any(flags), "linux.personality.flags")
}

pub(super) fn refuse(set: bool, field: &'static str) -> Result<(), SpecError> {
    if set { Err(SpecError::Unsupported { field }) } else { Ok(()) }
}

fn any<T>(list: Option<&[T]>) -> bool {
    list.is_some_and(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::default_spec;

    #[test]
    fn the_default_configuration_is_honoured() {
        check(&default_spec()).unwrap();
    }

    #[test]
    fn a_field_not_honoured_is_named() {
        let mut json = serde_json::to_value(default_spec()).unwrap();
        json["linux"]["intelRdt"] = serde_json::json!({"closID": "x"});
        let spec: Spec = serde_json::from_value(json).unwrap();
        assert!(check(&spec).unwrap_err().to_string().contains("linux.intelRdt"));
    }

    #[test]
    fn another_major_version_is_refused() {
        let mut spec = default_spec();
        for version in ["2.0.0", "1.", "1.2", "1.x.0", "", "10.0.0", "1.0.0.0", "-1.0.0"] {
            spec.set_version(version.to_owned());
            assert!(matches!(check(&spec), Err(SpecError::Version { .. })), "{version}");
        }
        for version in ["1.0.0", "1.0.2-dev", "1.3.0-rc.1+build"] {
            spec.set_version(version.to_owned());
            check(&spec).unwrap();
        }
    }
}
