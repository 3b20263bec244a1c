//! `linux.rootfsPropagation`.

use crate::step::StepError;

/// The propagation as `MS_*`, and whether it reaches the mounts below.
pub(crate) fn of_root(word: &str) -> Result<(u64, bool), StepError> {
    match word {
        "" | "private" | "rprivate" => Ok((libc::MS_PRIVATE, false)),
        "slave" | "rslave" => Ok((libc::MS_SLAVE, word.starts_with('r'))),
        "shared" | "rshared" => Ok((libc::MS_SHARED, word.starts_with('r'))),
        "unbindable" | "runbindable" => Ok((libc::MS_UNBINDABLE, word.starts_with('r'))),
        _ => Err(StepError::rule(format!("linux.rootfsPropagation: {word} is not a propagation"))),
    }
}
