//! `process.execCPUAffinity`: on which CPUs a process starts and goes on that is executed in a sandbox.

use oci_spec::runtime::ExecCPUAffinity;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::cpu_list;
use crate::step::{Step, StepError};

/// The CPUs before and after the process is in the sandbox's cgroup.
#[derive(Clone, Debug, Default)]
pub(crate) struct AffinityPlan {
    initial: Option<CpuSet>,
    last: Option<CpuSet>,
}

impl AffinityPlan {
    /// Checks the lists.
    pub(crate) fn new(asked: Option<&ExecCPUAffinity>) -> Result<Self, StepError> {
        let Some(asked) = asked else { return Ok(Self::default()) };
        Ok(Self {
            initial: set("initial", asked.initial().as_deref())?,
            last: set("final", asked.cpu_affinity_final().as_deref())?,
        })
    }

    /// Before the cgroup is entered, in the runtime: a child is born with it. Gives what to go back to.
    pub(crate) fn begin(&self) -> Result<Restore, StepError> {
        let Some(initial) = &self.initial else { return Ok(Restore(None)) };
        let what = || "could not set process.execCPUAffinity.initial";
        let own = rustix::thread::sched_getaffinity(None).step(what)?;
        sched_setaffinity(None, initial).step(what)?;
        Ok(Restore(Some(own)))
    }

    /// In the cgroup, in the new process.
    pub(crate) fn end(&self) -> Result<(), StepError> {
        let Some(last) = &self.last else { return Ok(()) };
        sched_setaffinity(None, last).step(|| "could not set process.execCPUAffinity.final")
    }
}

/// Gives the runtime its own CPUs back.
#[derive(Debug)]
pub(crate) struct Restore(Option<CpuSet>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            // They were its own a moment ago; if they are not to be had any longer, the kernel has chosen others.
            let _ = sched_setaffinity(None, own);
        }
    }
}

fn set(field: &str, list: Option<&str>) -> Result<Option<CpuSet>, StepError> {
    let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(None) };
    let cpus = cpu_list::parse(list, CpuSet::MAX_CPU);
    let cpus = cpus.ok_or_else(|| {
        StepError::rule(format!("process.execCPUAffinity.{field}: \"{list}\" is not a list of CPUs"))
    })?;
    let mut set = CpuSet::new();
    cpus.into_iter().for_each(|cpu| set.set(cpu));
    Ok(Some(set))
}
