//! A new time namespace and its offsets: time_namespaces(7), Linux 5.6.

use std::collections::HashMap;
use std::fmt::Write;
use std::os::fd::{AsFd, BorrowedFd};

use oci_spec::runtime::LinuxTimeOffset;
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::procfs;
use crate::step::{Step, StepError};
use crate::sys::namespace::unshare;

/// The offsets of a new time namespace, as /proc/PID/timens_offsets takes them; empty for none.
#[derive(Debug, Default)]
pub(crate) struct TimePlan {
    offsets: String,
}

impl TimePlan {
    /// Checks `linux.timeOffsets`.
    pub(super) fn new(asked: Option<&HashMap<String, LinuxTimeOffset>>) -> Result<Self, StepError> {
        let mut offsets = String::new();
        for (clock, offset) in asked.into_iter().flatten() {
            if !matches!(clock.as_str(), "monotonic" | "boottime") {
                return Err(StepError::rule(format!(
                    "linux.timeOffsets: {clock} is not monotonic or boottime, the clocks of a time namespace"
                )));
            }
            let nanosecs = offset.nanosecs().unwrap_or(0);
            if nanosecs > 999_999_999 {
                return Err(StepError::rule(format!(
                    "linux.timeOffsets: {nanosecs} nanoseconds of {clock} are more than a second"
                )));
            }
            // Writing to a String cannot fail.
            let _ = writeln!(offsets, "{clock} {} {nanosecs}", offset.secs().unwrap_or(0));
        }
        Ok(Self { offsets })
    }

    /// Makes the namespace, sets its clocks and enters it. The clocks can be set only while nobody is inside, and
    /// unshare(2) moves only the children: hence the way back over `time_for_children`.
    pub(crate) fn enter_new(&self, proc: BorrowedFd<'_>) -> Result<(), StepError> {
        unshare(libc::CLONE_NEWTIME)
            .step(|| "could not make a time namespace (it needs Linux 5.6 with CONFIG_TIME_NS)")?;
        if !self.offsets.is_empty() {
            procfs::write(proc, "self/timens_offsets", self.offsets.as_bytes())
                .step(|| format!("could not set linux.timeOffsets to \"{}\"", self.offsets.trim_end()))?;
        }
        let what = || "could not enter the new time namespace";
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let new = rustix::fs::openat(proc, "self/ns/time_for_children", flags, Mode::empty()).step(what)?;
        move_into_link_name_space(new.as_fd(), Some(LinkNameSpaceType::Time)).step(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<TimePlan, StepError> {
        TimePlan::new(Some(&serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn an_offset_is_seconds_and_nanoseconds() {
        let plan = plan(r#"{"monotonic": {"secs": -7, "nanosecs": 5}}"#).unwrap();
        assert_eq!(plan.offsets, "monotonic -7 5\n");
    }

    #[test]
    fn another_clock_and_too_many_nanoseconds_are_refused() {
        let error = plan(r#"{"realtime": {"secs": 1}}"#).unwrap_err();
        assert!(error.to_string().contains("realtime"));
        let error = plan(r#"{"boottime": {"nanosecs": 1000000000}}"#).unwrap_err();
        assert!(error.to_string().contains("1000000000"));
    }
}
