//! System call filters: the configuration's `linux.seccomp` compiled to classic BPF, and a default profile.
//!
//! Compiling the default profile takes some tens of microseconds, so nothing is cached: a cache would add files to be
//! trusted, and save less than the reading of them costs.

mod arch;
mod compile;
mod profile;
#[cfg(test)]
mod simulate;
mod table;

pub use compile::SeccompError;
pub(crate) use compile::{Filter, compile};
pub use profile::default_profile;

use oci_spec::runtime::LinuxSeccomp;

/// Compiles `seccomp` only to see whether it can be honoured.
///
/// # Errors
/// A system call argument, action, flag or architecture that cannot be honoured; the error names it.
pub fn check(seccomp: &LinuxSeccomp) -> Result<(), SeccompError> {
    compile(seccomp).map(drop)
}
