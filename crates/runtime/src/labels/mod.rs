//! Labels of SELinux and AppArmor: which one the workload runs under, and which one its file systems carry.

use std::os::fd::BorrowedFd;

use oci_spec::runtime::Process;
use rustix::io::Errno;

use crate::procfs;
use crate::step::{Step, StepError};

/// The labels that a process takes on when it executes the workload.
#[derive(Debug, Default)]
pub(crate) struct LabelPlan {
    selinux: Option<String>,
    apparmor: Option<String>,
}

impl LabelPlan {
    /// Checks `process.selinuxLabel` and `process.apparmorProfile`. A label is a promise of confinement: on a host
    /// without SELinux it is refused rather than forgotten. A profile of AppArmor is left out with a warning there, as
    /// the validation suite of the specification demands.
    pub(crate) fn new(process: &Process) -> Result<Self, StepError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mut plan =
            Self { selinux: given(process.selinux_label()), apparmor: given(process.apparmor_profile()) };
        if plan.selinux.is_some() && !selinux_is_enabled() {
            return Err(StepError::rule(
                "process.selinuxLabel is set, but SELinux is not enabled on this host",
            ));
        }
        if plan.apparmor.is_some() && !apparmor_is_enabled() {
            // Without AppArmor a process is what "unconfined" says.
            if plan.apparmor.take().is_some_and(|profile| profile != "unconfined") {
                tracing::warn!("process.apparmorProfile is left out: AppArmor is not enabled on this host");
            }
        }
        Ok(plan)
    }

    /// Asks for the labels at the next exec, through the host's procfs: proc_pid_attr(5). A new session keyring is
    /// labelled by the same policy, so this comes before it.
    pub(crate) fn apply(&self, proc: BorrowedFd<'_>) -> Result<(), StepError> {
        if let Some(label) = &self.selinux {
            let what = || format!("could not set process.selinuxLabel to {label}");
            procfs::write(proc, "self/attr/exec", label.as_bytes()).step(what)?;
            procfs::write(proc, "self/attr/keycreate", label.as_bytes()).step(what)?;
        }
        if let Some(profile) = &self.apparmor {
            let what = || format!("could not set process.apparmorProfile to {profile}");
            let order = format!("exec {profile}");
            // The directory of AppArmor's own since Linux 5.8, so that another module may have the files above it.
            match procfs::write(proc, "self/attr/apparmor/exec", order.as_bytes()) {
                Err(Errno::NOENT) => procfs::write(proc, "self/attr/exec", order.as_bytes()).step(what)?,
                written => written.step(what)?,
            }
        }
        Ok(())
    }
}

/// `linux.mountLabel`, left out with a warning where there is no SELinux to read it: files have no labels then, and a
/// process that was to be confined to such files is refused by its own.
pub(crate) fn mount_label(label: Option<&str>) -> Option<&str> {
    let label = label.filter(|label| !label.is_empty())?;
    if !selinux_is_enabled() {
        tracing::warn!("linux.mountLabel is left out: SELinux is not enabled on this host");
        return None;
    }
    Some(label)
}

/// The option that gives all files of a new file system `label`: mount(8), "context=". Those of the kernel's own, whose
/// files the policy labels one by one, have none.
pub(crate) fn mount_context(kind: &str, label: &str) -> Option<(String, Option<String>)> {
    let by_policy = matches!(kind, "proc" | "sysfs" | "mqueue" | "cgroup" | "cgroup2");
    (!by_policy).then(|| ("context".to_owned(), Some(label.to_owned())))
}

fn selinux_is_enabled() -> bool {
    const SELINUXFS_MAGIC: i64 = 0xf97c_ff8c;
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|fs| fs.f_type == SELINUXFS_MAGIC)
}

fn apparmor_is_enabled() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_the_kernel_carry_no_label_of_ours() {
        assert_eq!(mount_context("proc", "x"), None);
        assert_eq!(mount_context("tmpfs", "x"), Some(("context".into(), Some("x".into()))));
    }
}
