//! Whether a configuration can be honoured, as far as that shows without making anything.

use std::path::Path;

use oci_spec::runtime::Spec;

use super::SpecError;
use crate::cgroup::{Cgroup, CgroupError};
use crate::namespaces::NamespacePlan;
use crate::parts::{check_names, plan_process};
use crate::process::plan::ProcessError;
use crate::rootfs::plan::MountPlan;
use crate::rootfs::{devices, propagation};
use crate::step::StepError;
use crate::{net_devices, sysctl};

/// Why a configuration cannot be honoured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSpec {
    /// A field is missing or not supported.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// `process` or `linux.seccomp` is wrong.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Another field is wrong.
    #[error(transparent)]
    Rule(#[from] StepError),
    /// `linux.resources` is wrong.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Checks all that is planned from the configuration alone: the fields, the process with its filter, namespaces, mount
/// options, devices, sysctls, hooks, and the limits for the kind of cgroups that this host has. Nothing is made, and
/// nothing opened but the namespaces to be joined.
///
/// # Errors
/// What is wrong, by the field's name. That nothing is does not mean that it can be made.
pub fn validate(spec: &Spec) -> Result<(), InvalidSpec> {
    super::check(spec)?;
    let linux = spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?;
    crate::hooks::Hooks::of(spec, "", Path::new("/")).check()?;
    if let Some(process) = spec.process() {
        plan_process(spec, linux, process)?;
    }
    let namespaces = NamespacePlan::new(linux)?;
    check_names(spec, &namespaces)?;
    linux.rootfs_propagation().as_deref().map(propagation::of_root).transpose()?;
    spec.mounts().iter().flatten().try_for_each(MountPlan::check)?;
    devices::plan(linux.devices().as_deref().unwrap_or_default())?;
    sysctl::plan(linux.sysctl().as_ref(), &namespaces)?;
    net_devices::plan(linux.net_devices().as_ref(), &namespaces)?;
    match linux.resources() {
        Some(resources) => Ok(Cgroup::check(resources)?),
        None => Ok(()),
    }
}
