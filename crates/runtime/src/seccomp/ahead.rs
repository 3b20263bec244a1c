//! A filter that was compiled ahead of the sandbox that it is for.

use std::cell::RefCell;

use oci_spec::runtime::LinuxSeccomp;

use super::{Filter, SeccompError, compile};

thread_local! {
    static AHEAD: RefCell<Option<(LinuxSeccomp, Filter)>> = const { RefCell::new(None) };
}

/// Compiles `seccomp` now, for a caller that has time: a sandbox with the same filter, made by this thread, then need not
/// wait for it.
///
/// # Errors
/// As [`super::check`].
pub fn compile_ahead(seccomp: LinuxSeccomp) -> Result<(), SeccompError> {
    let filter = compile(&seccomp)?;
    AHEAD.set(Some((seccomp, filter)));
    Ok(())
}

/// The compiled filter, at once if it is the one that was compiled ahead.
pub(crate) fn compiled(seccomp: &LinuxSeccomp) -> Result<Filter, SeccompError> {
    AHEAD.with_borrow(|ahead| match ahead {
        Some((of, filter)) if of == seccomp => Ok(filter.clone()),
        _ => compile(seccomp),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use oci_spec::runtime::Capability;

    use super::*;
    use crate::seccomp::default_profile;

    #[test]
    fn what_was_compiled_ahead_is_taken_for_the_same_profile_only() {
        let (usual, other) =
            (default_profile(&HashSet::new()), default_profile(&HashSet::from([Capability::SysAdmin])));
        compile_ahead(usual.clone()).unwrap();
        // Marked, so that it can be told from one that is compiled now.
        AHEAD.with_borrow_mut(|ahead| ahead.as_mut().unwrap().1.flags = 77);
        assert_eq!(compiled(&usual).unwrap().flags, 77);
        assert_eq!(compiled(&other).unwrap().program, compile(&other).unwrap().program);
    }
}
