//! What the workload may do.

use super::BundleError;
use crate::settings::{SeccompChoice, Settings};
use gaufre_runtime::available_capabilities;
use gaufre_runtime::seccomp;
use gaufre_runtime::spec::{default_capabilities, default_masked_paths, default_readonly_paths};
use oci_spec::OciSpecError;
use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxCapabilitiesBuilder, LinuxSeccomp};
use std::collections::HashSet;

/// The capability sets. A user other than root gets none to begin with, but may gain those of the bounding set by
/// what it executes; what was asked for by name it gets outright, as with podman.
pub(crate) fn capabilities(
    settings: &Settings,
    uid: u32,
    all: bool,
) -> Result<LinuxCapabilities, OciSpecError> {
    let bounding = if all { available_capabilities() } else { granted(settings)? };
    let held = if uid == 0 || all {
        bounding.clone()
    } else {
        settings
            .cap_add
            .iter()
            .filter(|name| *name != "ALL")
            .map(|name| capability(name))
            .collect::<Result<_, _>>()?
    };
    let ambient = if uid == 0 { HashSet::new() } else { held.clone() };
    LinuxCapabilitiesBuilder::default()
        .bounding(bounding)
        .effective(held.clone())
        .permitted(held.clone())
        .inheritable(ambient.clone())
        .ambient(ambient)
        .build()
}

/// The default capabilities, or all, less those dropped, plus those added; naming one outweighs ALL.
fn granted(settings: &Settings) -> Result<HashSet<Capability>, OciSpecError> {
    if settings.privileged {
        return Ok(available_capabilities());
    }
    let has = |list: &[String], name: &str| list.iter().any(|entry| entry == name);
    let named = |list: &[String]| {
        list.iter()
            .filter(|name| *name != "ALL")
            .map(|name| capability(name))
            .collect::<Result<HashSet<_>, _>>()
    };
    let mut set = if has(&settings.cap_add, "ALL") {
        available_capabilities()
    } else if has(&settings.cap_drop, "ALL") {
        HashSet::new()
    } else {
        default_capabilities()
    };
    for dropped in named(&settings.cap_drop)? {
        set.remove(&dropped);
    }
    set.extend(named(&settings.cap_add)?);
    Ok(set)
}

fn capability(name: &str) -> Result<Capability, OciSpecError> {
    // By its name in config.json, which is capabilities(7)'s.
    serde_json::from_value(name.into())
        .map_err(|_| OciSpecError::Other(format!("there is no capability {name:?}")))
}

pub(super) fn masked_paths(settings: &Settings) -> Vec<String> {
    let mut paths = if settings.privileged { Vec::new() } else { default_masked_paths() };
    unmask(settings, &mut paths);
    paths.extend(settings.security.mask.iter().cloned());
    paths
}

pub(super) fn readonly_paths(settings: &Settings) -> Vec<String> {
    let mut paths = if settings.privileged { Vec::new() } else { default_readonly_paths() };
    unmask(settings, &mut paths);
    paths
}

fn unmask(settings: &Settings, paths: &mut Vec<String>) {
    let unmasked = &settings.security.unmask;
    paths.retain(|path| !unmasked.iter().any(|entry| entry == "ALL" || entry == path));
}

pub(super) fn seccomp(settings: &Settings) -> Result<Option<LinuxSeccomp>, BundleError> {
    match &settings.security.seccomp {
        _ if settings.privileged => Ok(None),
        SeccompChoice::Unconfined => Ok(None),
        SeccompChoice::Default => Ok(Some(seccomp::default_profile(&granted(settings)?))),
        SeccompChoice::Profile(path) => {
            let fail = |source: Box<dyn std::error::Error + Send + Sync>| BundleError::Seccomp {
                path: path.clone(),
                source,
            };
            let bytes = std::fs::read(path).map_err(|error| fail(error.into()))?;
            serde_json::from_slice(&bytes).map(Some).map_err(|error| fail(error.into()))
        }
    }
}

/// What most sandboxes need of this, for a keeper that has time before it knows its own.
pub(crate) fn compile_usual_seccomp() {
    if let Ok(Some(usual)) = seccomp(&Settings::default()) {
        // If it cannot be, whoever needs it will hear why.
        let _ = gaufre_runtime::seccomp::compile_ahead(usual);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> HashSet<Capability> {
        let strings = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        granted(&Settings { cap_add: strings(add), cap_drop: strings(drop), ..Settings::default() }).unwrap()
    }

    #[test]
    fn naming_a_capability_outweighs_all() {
        assert_eq!(set(&["CAP_NET_ADMIN"], &["ALL"]), HashSet::from([Capability::NetAdmin]));
        assert!(!set(&["ALL"], &["CAP_SYS_ADMIN"]).contains(&Capability::SysAdmin));
        assert!(set(&["ALL"], &[]).contains(&Capability::SysAdmin));
        assert!(!set(&[], &[]).contains(&Capability::SysAdmin));
        assert!(!set(&[], &["CAP_CHOWN"]).contains(&Capability::Chown));
    }

    #[test]
    fn another_user_than_root_holds_only_what_was_added_by_name() {
        let settings = Settings { cap_add: vec!["CAP_NET_ADMIN".to_owned()], ..Settings::default() };
        let caps = capabilities(&settings, 1000, false).unwrap();
        assert_eq!(caps.effective().as_ref().unwrap(), &HashSet::from([Capability::NetAdmin]));
        assert!(caps.bounding().as_ref().unwrap().contains(&Capability::Chown));
        assert!(
            capabilities(&settings, 0, false)
                .unwrap()
                .effective()
                .as_ref()
                .unwrap()
                .contains(&Capability::Chown)
        );
    }
}
