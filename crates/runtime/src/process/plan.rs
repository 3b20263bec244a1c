//! `process` of the configuration, checked and made ready to be applied inside.

use std::path::PathBuf;

use oci_spec::runtime::{IOPriorityClass, LinuxPersonality, LinuxPersonalityDomain, LinuxSeccomp, Process};
use rustix::fs::{Gid, Uid};

use super::affinity::AffinityPlan;
use super::capabilities::CapabilityPlan;
use super::memory_policy::MemoryPolicyPlan;
use super::program::Program;
use super::rlimits::{self, RlimitPlan};
use super::scheduler::SchedulerPlan;
use crate::labels::LabelPlan;
use crate::landlock::LandlockPlan;
use crate::seccomp::{Agent, Filter, Listener, SeccompError};
use crate::step::StepError;

/// Everything that a process becomes.
#[derive(Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) program: Program,
    pub(crate) cwd: PathBuf,
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) groups: Vec<Gid>,
    pub(crate) umask: u32,
    pub(crate) capabilities: CapabilityPlan,
    pub(crate) rlimits: Vec<RlimitPlan>,
    pub(crate) no_new_privileges: bool,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) io_priority: Option<i32>,
    pub(crate) scheduler: Option<SchedulerPlan>,
    /// Only of a process that is executed in a sandbox.
    pub(crate) affinity: AffinityPlan,
    /// Of every process of the sandbox: `linux` says it, not `process`.
    pub(crate) memory_policy: Option<MemoryPolicyPlan>,
    pub(crate) labels: LabelPlan,
    pub(crate) landlock: Option<LandlockPlan>,
    pub(crate) personality: Option<u32>,
    pub(crate) filter: Option<Filter>,
    /// Whom to give the filter's descriptor, where an agent needs it.
    pub(crate) listener: Option<Listener>,
    /// A session keyring of its own, rather than the caller's.
    pub(crate) new_keyring: bool,
    /// Rows and columns.
    pub(crate) console_size: Option<(u16, u16)>,
}

/// What is wrong with a process's configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// A rule of the specification, or of ours, is broken.
    #[error(transparent)]
    Rule(#[from] StepError),
    /// The filter cannot be honoured.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
}

impl ProcessPlan {
    /// Prepares `process`, with the sandbox's filter and personality.
    pub(crate) fn new(
        process: &Process,
        seccomp: Option<&LinuxSeccomp>,
        personality: Option<&LinuxPersonality>,
    ) -> Result<Self, ProcessError> {
        let user = process.user();
        let args = process.args().as_deref().unwrap_or_default();
        let env = process.env().as_deref().unwrap_or_default();
        let groups = user.additional_gids().iter().flatten();
        Ok(Self {
            program: Program::new(args, env)?,
            cwd: absolute(process.cwd().clone())?,
            uid: Uid::from_raw(valid_id(user.uid())?),
            gid: Gid::from_raw(valid_id(user.gid())?),
            groups: groups.map(|gid| valid_id(*gid).map(Gid::from_raw)).collect::<Result<_, _>>()?,
            umask: umask(user.umask())?,
            capabilities: CapabilityPlan::new(process.capabilities().as_ref()),
            rlimits: rlimits::plan(process.rlimits().as_deref().unwrap_or_default())?,
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            oom_score_adj: oom_score_adj(process.oom_score_adj())?,
            io_priority: process
                .io_priority()
                .as_ref()
                .map(|wish| io_priority(wish.class(), wish.priority()))
                .transpose()?,
            scheduler: process.scheduler().as_ref().map(SchedulerPlan::new).transpose()?,
            affinity: AffinityPlan::new(process.exec_cpu_affinity().as_ref())?,
            memory_policy: None,
            labels: LabelPlan::new(process)?,
            landlock: None,
            personality: personality.map(personality_number),
            filter: seccomp.map(crate::seccomp::compiled).transpose()?,
            listener: None,
            new_keyring: true,
            console_size: process
                .console_size()
                .as_ref()
                .map(|size| (clamp(size.height()), clamp(size.width()))),
        })
    }
}

impl ProcessPlan {
    /// The agent that answers calls of the filter, where it leaves any to one.
    pub(crate) fn agent(&self) -> Option<&Agent> {
        self.filter.as_ref()?.agent.as_ref()
    }

    /// That of a configuration without `process`, which may be created and has nothing to execute: config.md, "Process".
    pub(crate) fn nothing() -> Result<Self, ProcessError> {
        tracing::warn!("process is not set: the container will end as soon as it is started");
        let mut process = Process::default();
        process.set_args(Some(vec![String::new()])).set_cwd("/".into());
        process.set_capabilities(None).set_rlimits(None).set_apparmor_profile(None).set_selinux_label(None);
        Ok(Self { program: Program::nothing(), ..Self::new(&process, None, None)? })
    }
}

/// An id the kernel can mean: all ones stands for "unchanged" in its calls.
fn valid_id(id: u32) -> Result<u32, StepError> {
    if id == u32::MAX {
        return Err(StepError::rule(format!("process.user: {id} is not a user or group id")));
    }
    Ok(id)
}

/// More than permission bits would be ignored by umask(2).
fn umask(wish: Option<u32>) -> Result<u32, StepError> {
    match wish.unwrap_or(0o022) {
        mask @ 0..=0o777 => Ok(mask),
        mask => Err(StepError::rule(format!("process.user.umask {mask} has more than permission bits"))),
    }
}

fn absolute(cwd: PathBuf) -> Result<PathBuf, StepError> {
    if cwd.is_absolute() {
        return Ok(cwd);
    }
    Err(StepError::rule(format!("process.cwd {} is not an absolute path", cwd.display())))
}

fn oom_score_adj(wish: Option<i32>) -> Result<Option<i32>, StepError> {
    match wish {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(StepError::rule(format!("process.oomScoreAdj {score} is not between -1000 and 1000")))
        }
        wish => Ok(wish),
    }
}

fn io_priority(class: IOPriorityClass, priority: i64) -> Result<i32, StepError> {
    let class = match class {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match i32::try_from(priority) {
        Ok(priority @ 0..=7) => Ok(class << 13 | priority),
        _ => Err(StepError::rule(format!("process.ioPriority: {priority} is not between 0 and 7"))),
    }
}

fn personality_number(personality: &LinuxPersonality) -> u32 {
    match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }
}

fn clamp(size: u64) -> u16 {
    u16::try_from(size).unwrap_or(u16::MAX)
}
