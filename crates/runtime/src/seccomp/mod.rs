//! System call filters: the configuration's `linux.seccomp` compiled to classic BPF, and a default profile.
//!
//! No file caches what is compiled: compiling the default profile costs about as much as finding, reading and trusting a cache file
//! would (docs/decisions/030-runtime-processes.md).

mod action;
mod ahead;
mod arch;
mod compile;
mod error;
mod listener;
mod notify;
mod profile;
#[cfg(test)]
mod simulate;
mod table;

pub use ahead::compile_ahead;
pub(crate) use ahead::compiled;
pub(crate) use compile::{Filter, compile};
pub use error::SeccompError;
pub(crate) use listener::Listener;
pub(crate) use notify::{Agent, Connection};
pub use profile::default_profile;

use oci_spec::runtime::LinuxSeccomp;

/// Compiles `seccomp` only to see whether it can be honoured.
///
/// # Errors
/// A system call argument, action, flag or architecture that cannot be honoured; the error names it.
pub fn check(seccomp: &LinuxSeccomp) -> Result<(), SeccompError> {
    compile(seccomp).map(drop)
}

/// The system calls of this processor's own architecture, by name, with their numbers.
pub fn system_calls() -> &'static [(&'static str, u32)] {
    table::X86_64
}
