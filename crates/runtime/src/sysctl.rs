//! `linux.sysctl`: only settings that belong to a namespace of the sandbox's own.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use oci_spec::runtime::LinuxNamespaceType;

use crate::namespaces::NamespacePlan;
use crate::step::{Step, StepError};

/// One setting: its path below /proc and its value.
#[derive(Debug)]
pub(crate) struct SysctlPlan {
    name: String,
    path: String,
    value: String,
}

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Checks the settings against the namespaces: one that is the host's is refused.
pub(crate) fn plan(
    asked: Option<&HashMap<String, String>>,
    namespaces: &NamespacePlan,
) -> Result<Vec<SysctlPlan>, StepError> {
    let mut settings = Vec::new();
    for (name, value) in asked.into_iter().flatten() {
        let dotted = name.replace('/', ".");
        let needed = if IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
            LinuxNamespaceType::Ipc
        } else if dotted.starts_with("net.") {
            LinuxNamespaceType::Network
        } else if matches!(dotted.as_str(), "kernel.hostname" | "kernel.domainname") {
            LinuxNamespaceType::Uts
        } else {
            return Err(StepError::rule(format!(
                "linux.sysctl: {name} belongs to no namespace: it is the host's"
            )));
        };
        if !namespaces.has(needed) {
            return Err(StepError::rule(format!(
                "linux.sysctl: {name} would be the host's without a {needed:?} namespace"
            )));
        }
        settings.push(SysctlPlan { name: name.clone(), path: path_of(name)?, value: value.clone() });
    }
    settings.sort_by_cached_key(|setting| (is_of_one_interface(&setting.path), setting.path.clone()));
    Ok(settings)
}

/// Whether a path is of a parameter of one interface. These are set last: what is said of all interfaces, and
/// `ip_forward`, the kernel copies into each.
fn is_of_one_interface(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["sys", "net", _, "conf" | "neigh", interface, ..] if !matches!(interface, "all" | "default"))
}

/// The path below /proc. With slashes, dots are part of names (interfaces, VLANs); without, dots are the separators.
fn path_of(name: &str) -> Result<String, StepError> {
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(StepError::rule(format!("linux.sysctl: {name} is not the name of a setting")));
    }
    Ok(format!("sys/{path}"))
}

/// Writes the settings, inside the namespaces, through the host's procfs: it shows the writer's own.
pub(crate) fn apply(settings: &[SysctlPlan], proc: BorrowedFd<'_>) -> Result<(), StepError> {
    settings.iter().try_for_each(|setting| {
        crate::procfs::write(proc, &setting.path, setting.value.as_bytes())
            .step(|| format!("could not set the sysctl {} to \"{}\"", setting.name, setting.value))
    })
}
