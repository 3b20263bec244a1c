//! What init and every exec'd process become: identity, limits, privileges, filter, program. Prepared from the
//! configuration before the process exists, applied inside it, in one place for both.

pub(crate) mod affinity;
pub(crate) mod become_workload;
pub(crate) mod capabilities;
pub(crate) mod console;
mod cpu_list;
pub(crate) mod memory_policy;
pub(crate) mod plan;
pub(crate) mod program;
pub(crate) mod rlimits;
pub(crate) mod scheduler;
pub(crate) mod stdio;
