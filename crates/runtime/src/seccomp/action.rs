//! What a filter answers, and the flags with which it is installed: seccomp(2), linux/seccomp.h.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};

use super::error::SeccompError;

/// The kernel's `MAX_ERRNO`: it would quietly make this of anything greater.
const MAX_ERRNO: u32 = 4095;

/// The answer as the kernel takes it. The specification wants an error number beside any other action refused.
pub(super) fn action(
    action: LinuxSeccompAction,
    errno: Option<u32>,
    field: &'static str,
) -> Result<u32, SeccompError> {
    use LinuxSeccompAction as A;
    match (action, errno) {
        (A::ScmpActErrno, Some(number)) if number > MAX_ERRNO => {
            Err(SeccompError::NotErrno { field, number })
        }
        (A::ScmpActTrace, Some(number)) if number > 0xffff => Err(SeccompError::NotErrno { field, number }),
        (A::ScmpActErrno | A::ScmpActTrace, _) | (_, None) => Ok(action.as_u32(errno)),
        // Profiles for Go programs write a default of 0 for a number that is not meant.
        (_, Some(0)) => Ok(action.as_u32(None)),
        _ => Err(SeccompError::Errno { field, action }),
    }
}

/// Whether any call is handed over to an agent.
pub(super) fn notifies(seccomp: &LinuxSeccomp) -> bool {
    let notify = LinuxSeccompAction::ScmpActNotify;
    seccomp.default_action() == notify
        || seccomp.syscalls().iter().flatten().any(|rule| rule.action() == notify)
}

/// `SECCOMP_FILTER_FLAG_*`.
pub(super) fn flags(seccomp: &LinuxSeccomp, notifies: bool) -> u32 {
    const LOG: u32 = 1 << 1;
    const SPEC_ALLOW: u32 = 1 << 2;
    const NEW_LISTENER: u32 = 1 << 3;
    const WAIT_KILLABLE_RECV: u32 = 1 << 5;
    let asked = seccomp.flags().iter().flatten().map(|flag| match flag {
        // One thread: there is nobody to synchronise with.
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => SPEC_ALLOW,
        // The kernel takes it beside a listener only (Linux 5.19), and without one nobody waits.
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if notifies => WAIT_KILLABLE_RECV,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
    });
    let listener = if notifies { NEW_LISTENER } else { 0 };
    asked.fold(listener, |flags, flag| flags | flag)
}
