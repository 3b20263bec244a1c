//! Which containers or images a verb is about.

use gaufre_engine::SandboxSummary;

use crate::failure::{CliError, Result};

/// Those that were named; there has to be one.
///
/// # Errors
/// When there is none.
pub(crate) fn some_of(names: &[String]) -> Result<&[String]> {
    match names {
        [] => Err(CliError::new("give at least one name or ID")),
        names => Ok(names),
    }
}

/// Those that were named, or with `--all` those that `list` gives.
///
/// # Errors
/// When none was named, or they cannot be listed.
pub(crate) fn chosen(
    names: &[String],
    all: bool,
    list: impl FnOnce() -> Result<Vec<String>>,
) -> Result<Vec<String>> {
    if all { list() } else { Ok(some_of(names)?.to_vec()) }
}

/// The IDs of containers.
pub(crate) fn ids(containers: Vec<SandboxSummary>) -> Vec<String> {
    containers.into_iter().map(|container| container.id).collect()
}
