//! What init and every exec'd process become: identity, limits, privileges, filter, program. Prepared from the
//! configuration before the process exists, applied inside it, in one place for both.

pub(crate) mod become_workload;
pub(crate) mod capabilities;
pub(crate) mod console;
pub(crate) mod plan;
pub(crate) mod program;
pub(crate) mod rlimits;
pub(crate) mod stdio;
