//! A field that is set and not honoured is an error that names it: nothing is silently ignored. What is handled only
//! in some of its values (mount options, limits, filters) is checked where it is handled.

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
    /// The specification's version is another one.
    #[error("ociVersion {version} is not 1.x")]
    Version {
        /// The version found.
        version: String,
    },
}

/// Checks every field of `spec` that is not looked at elsewhere.
pub(crate) fn check(spec: &Spec) -> Result<(), SpecError> {
    if !spec.version().starts_with("1.") {
        return Err(SpecError::Version { version: spec.version().clone() });
    }
    refuse(spec.solaris().is_some(), "solaris")?;
    refuse(spec.windows().is_some(), "windows")?;
    refuse(spec.vm().is_some(), "vm")?;
    refuse(spec.zos().is_some(), "zos")?;
    refuse(any(spec.uid_mappings().as_deref()), "uidMappings")?;
    refuse(any(spec.gid_mappings().as_deref()), "gidMappings")?;
    if let Some(hooks) = spec.hooks() {
        #[allow(deprecated, reason = "the specification still has it, so a configuration may")]
        let prestart = hooks.prestart();
        refuse(any(prestart.as_deref()), "hooks.prestart")?;
        refuse(any(hooks.create_runtime().as_deref()), "hooks.createRuntime")?;
        refuse(any(hooks.create_container().as_deref()), "hooks.createContainer")?;
        refuse(any(hooks.start_container().as_deref()), "hooks.startContainer")?;
        refuse(any(hooks.poststart().as_deref()), "hooks.poststart")?;
        refuse(any(hooks.poststop().as_deref()), "hooks.poststop")?;
    }
    for mount in spec.mounts().iter().flatten() {
        refuse(any(mount.uid_mappings().as_deref()), "mounts[].uidMappings")?;
        refuse(any(mount.gid_mappings().as_deref()), "mounts[].gidMappings")?;
    }
    check_process(spec.process().as_ref().ok_or(SpecError::Missing { field: "process" })?)?;
    check_linux(spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?)
}

/// Checks a process, the container's own or one to be executed in it.
pub(crate) fn check_process(process: &Process) -> Result<(), SpecError> {
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    refuse(set(process.command_line()), "process.commandLine")?;
    refuse(set(process.user().username()), "process.user.username")?;
    refuse(set(process.apparmor_profile()), "process.apparmorProfile")?;
    refuse(set(process.selinux_label()), "process.selinuxLabel")?;
    refuse(process.scheduler().is_some(), "process.scheduler")?;
    refuse(process.exec_cpu_affinity().is_some(), "process.execCPUAffinity")
}

fn check_linux(linux: &Linux) -> Result<(), SpecError> {
    refuse(any(linux.uid_mappings().as_deref()), "linux.uidMappings")?;
    refuse(any(linux.gid_mappings().as_deref()), "linux.gidMappings")?;
    refuse(linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()), "linux.netDevices")?;
    refuse(linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()), "linux.mountLabel")?;
    refuse(linux.intel_rdt().is_some(), "linux.intelRdt")?;
    refuse(linux.memory_policy().is_some(), "linux.memoryPolicy")?;
    refuse(linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty()), "linux.timeOffsets")?;
    let flags = linux.personality().as_ref().and_then(|personality| personality.flags().as_deref());
    refuse(any(flags), "linux.personality.flags")
}

fn refuse(set: bool, field: &'static str) -> Result<(), SpecError> {
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
        spec.set_version("2.0.0".to_owned());
        assert!(matches!(check(&spec), Err(SpecError::Version { .. })));
    }
}
