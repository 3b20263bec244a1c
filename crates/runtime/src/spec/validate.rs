//! Whether a configuration can be honoured, as far as that shows without opening or making anything.

use oci_spec::runtime::Spec;

use super::SpecError;
use crate::cgroup::{Cgroup, CgroupError};
use crate::process::plan::{ProcessError, ProcessPlan};

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
    /// `linux.resources` is wrong.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Checks the fields, the process with its filter, and the limits for the kind of cgroups that this host has.
///
/// # Errors
/// What is wrong, by the field's name. That nothing is does not mean that it can be made.
pub fn validate(spec: &Spec) -> Result<(), InvalidSpec> {
    super::check(spec)?;
    let linux = spec.linux().as_ref().ok_or(SpecError::Missing { field: "linux" })?;
    if let Some(process) = spec.process() {
        ProcessPlan::new(process, linux.seccomp().as_ref(), linux.personality().as_ref())?;
    }
    match linux.resources() {
        Some(resources) => Ok(Cgroup::check(resources)?),
        None => Ok(()),
    }
}
