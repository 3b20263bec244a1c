//! Hiding a process of ours from others that see it: ptrace(2), /proc/PID/{exe,fd,root,mem} (CVE-2016-9962). Only who has
//! CAP_SYS_PTRACE in the user namespace in which our program was executed looks into one that is not dumpable.

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};

use crate::step::{Step, StepError};

const WHAT: &str = "could not hide from other processes";

/// Hides the calling process until it executes another program.
pub(crate) fn hide_from_others() -> Result<(), StepError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step(|| WHAT)
}

/// While it lives, the calling process is hidden, and so are those that it makes from their first instant on.
#[derive(Debug)]
pub(crate) struct Hidden;

impl Hidden {
    /// Begins it for root. Another user's process could not write to its own files in /proc any more, and needs a user
    /// namespace for others, whose processes have no power over what is outside. None too where it is hidden already.
    pub(crate) fn begin() -> Result<Option<Self>, StepError> {
        if !rustix::process::geteuid().is_root()
            || dumpable_behavior().step(|| WHAT)? != DumpableBehavior::Dumpable
        {
            return Ok(None);
        }
        hide_from_others()?;
        Ok(Some(Self))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // It was so before, hence it can be.
        let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    }
}
