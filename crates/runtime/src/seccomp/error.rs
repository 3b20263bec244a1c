//! What can be wrong with a filter.

use oci_spec::runtime::LinuxSeccompAction;

/// Why a filter cannot be honoured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeccompError {
    /// The action returns no error number, but is given one.
    #[error("linux.seccomp.{field}: the action {action} has no error number")]
    Errno {
        /// The field with the number.
        field: &'static str,
        /// The action.
        action: LinuxSeccompAction,
    },
    /// The number is none.
    #[error("linux.seccomp.{field}: {number} is not an error number")]
    NotErrno {
        /// The field with the number.
        field: &'static str,
        /// The number.
        number: u32,
    },
    /// Everything would be handed over, the calls by which it is handed over included.
    #[error("linux.seccomp.defaultAction cannot be SCMP_ACT_NOTIFY")]
    NotifyDefault,
    /// Calls are to be handed over, and nobody is named to take them.
    #[error("linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath")]
    NoListener,
    /// Words for an agent that is not named.
    #[error("linux.seccomp.listenerMetadata needs listenerPath")]
    NoListenerForMetadata,
    /// A rule is about no call.
    #[error("linux.seccomp.syscalls: a rule has no names")]
    NoNames,
    /// System calls have six arguments.
    #[error("linux.seccomp: {call} has no argument number {index}")]
    Argument {
        /// The call.
        call: String,
        /// The number, from 0.
        index: usize,
    },
    /// The kernel takes 4096 instructions.
    #[error("linux.seccomp: the filter needs {instructions} instructions, the kernel takes 4096")]
    TooLong {
        /// How many.
        instructions: usize,
    },
}
