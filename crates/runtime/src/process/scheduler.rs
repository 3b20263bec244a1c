//! `process.scheduler`: sched_setattr(2), Linux 3.14; clamps since 5.3.

use oci_spec::runtime::{LinuxSchedulerFlag, LinuxSchedulerPolicy, Scheduler};

use crate::step::{Step, StepError};
use crate::sys::scheduler::{SchedAttr, set_attr};

/// How a process is scheduled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SchedulerPlan(SchedAttr);

impl SchedulerPlan {
    /// Checks what the configuration asks for: config.md, `scheduler`.
    pub(crate) fn new(asked: &Scheduler) -> Result<Self, StepError> {
        use LinuxSchedulerPolicy as P;
        let policy = *asked.policy();
        let number = match policy {
            P::SchedOther => 0,
            P::SchedFifo => 1,
            P::SchedRr => 2,
            P::SchedBatch => 3,
            P::SchedIdle => 5,
            P::SchedDeadline => 6,
            P::SchedIso => return Err(rule("SCHED_ISO is not implemented by Linux")),
        };
        let priority = asked.priority().unwrap_or(0);
        let priority = u32::try_from(priority).map_err(|_| rule("the priority is negative"))?;
        if priority != 0 && !matches!(policy, P::SchedFifo | P::SchedRr) {
            return Err(rule("a priority is for SCHED_FIFO and SCHED_RR only"));
        }
        let deadline = [asked.runtime(), asked.deadline(), asked.period()];
        if policy != P::SchedDeadline && deadline.iter().any(|value| value.is_some_and(|value| value != 0)) {
            return Err(rule("runtime, deadline and period are for SCHED_DEADLINE only"));
        }
        let nice = asked.nice().unwrap_or(0);
        if !(-20..=19).contains(&nice) {
            return Err(rule("the nice value is not between -20 and 19"));
        }
        let mut flags = 0;
        for flag in asked.flags().iter().flatten() {
            flags |= bit(*flag)?;
        }
        Ok(Self(SchedAttr {
            policy: number,
            flags,
            nice,
            priority,
            runtime: asked.runtime().unwrap_or(0),
            deadline: asked.deadline().unwrap_or(0),
            period: asked.period().unwrap_or(0),
            ..SchedAttr::default()
        }))
    }

    /// Schedules the calling process so.
    pub(crate) fn apply(&self) -> Result<(), StepError> {
        set_attr(&self.0).step(|| "could not set process.scheduler")
    }
}

/// `SCHED_FLAG_*` of linux/sched.h. The clamps are refused: the specification has no field for their values.
fn bit(flag: LinuxSchedulerFlag) -> Result<u64, StepError> {
    use LinuxSchedulerFlag as F;
    match flag {
        F::SchedResetOnFork => Ok(0x01),
        F::SchedFlagReclaim => Ok(0x02),
        F::SchedFlagDLOverrun => Ok(0x04),
        F::SchedFlagKeepPolicy => Ok(0x08),
        F::SchedFlagKeepParams => Ok(0x10),
        F::SchedFlagUtilClampMin | F::SchedFlagUtilClampMax => {
            Err(rule(&format!("{flag} has no value in the configuration to clamp to")))
        }
    }
}

fn rule(what: &str) -> StepError {
    StepError::rule(format!("process.scheduler: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_does_not_have_is_refused_by_name() {
        for (json, word) in [
            (r#"{"policy": "SCHED_OTHER", "priority": 3}"#, "priority"),
            (r#"{"policy": "SCHED_BATCH", "runtime": 3}"#, "SCHED_DEADLINE"),
            (r#"{"policy": "SCHED_ISO"}"#, "SCHED_ISO"),
            (r#"{"policy": "SCHED_OTHER", "nice": 20}"#, "nice"),
        ] {
            let asked: Scheduler = serde_json::from_str(json).unwrap();
            let error = SchedulerPlan::new(&asked).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
