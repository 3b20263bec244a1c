//! Resource limits: getrlimit(2).

use oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::step::{Step, StepError};

/// One limit to be set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RlimitPlan {
    kind: PosixRlimitType,
    resource: Resource,
    soft: u64,
    hard: u64,
}

/// Checks the limits asked for.
pub(crate) fn plan(asked: &[PosixRlimit]) -> Result<Vec<RlimitPlan>, StepError> {
    let mut limits = Vec::with_capacity(asked.len());
    for limit in asked {
        let (kind, soft, hard) = (limit.typ(), limit.soft(), limit.hard());
        if soft > hard {
            return Err(StepError::rule(format!(
                "process.rlimits: {kind}: the soft limit {soft} is above the hard limit {hard}"
            )));
        }
        let resource = resource(kind)
            .ok_or_else(|| StepError::rule(format!("process.rlimits: {kind} is not supported")))?;
        if limits.iter().any(|other: &RlimitPlan| other.kind == kind) {
            return Err(StepError::rule(format!("process.rlimits: {kind} is given twice")));
        }
        limits.push(RlimitPlan { kind, resource, soft, hard });
    }
    Ok(limits)
}

/// Sets the limits on the calling process. That on descriptors only grows for now: until [`apply_last`] it is we who
/// need some, and afterwards we might not have the privilege.
pub(crate) fn apply(limits: &[RlimitPlan]) -> Result<(), StepError> {
    limits.iter().try_for_each(|limit| {
        let mut wish = limit.wish();
        if limit.resource == Resource::Nofile {
            let now = getrlimit(Resource::Nofile);
            wish = Rlimit {
                current: larger(wish.current, now.current),
                maximum: larger(wish.maximum, now.maximum),
            };
        }
        limit.set(wish)
    })
}

/// Sets the limit on descriptors: when no more of ours are to be opened.
pub(crate) fn apply_last(limits: &[RlimitPlan]) -> Result<(), StepError> {
    limits
        .iter()
        .filter(|limit| limit.resource == Resource::Nofile)
        .try_for_each(|limit| limit.set(limit.wish()))
}

impl RlimitPlan {
    fn wish(&self) -> Rlimit {
        // The largest value means no limit, which rustix spells None.
        let finite = |value: u64| (value != u64::MAX).then_some(value);
        Rlimit { current: finite(self.soft), maximum: finite(self.hard) }
    }

    fn set(&self, limit: Rlimit) -> Result<(), StepError> {
        setrlimit(self.resource, limit).step(|| {
            let allowed =
                getrlimit(self.resource).maximum.map_or("unlimited".to_owned(), |max| max.to_string());
            format!(
                "could not set {} to {}:{}; the hard limit here is {allowed} and only CAP_SYS_RESOURCE can raise it",
                self.kind,
                text(self.soft),
                text(self.hard)
            )
        })
    }
}

/// None is without limit.
fn larger(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.max(other?))
}

fn text(value: u64) -> String {
    if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() }
}

fn resource(kind: PosixRlimitType) -> Option<Resource> {
    use PosixRlimitType as T;
    Some(match kind {
        T::RlimitCpu => Resource::Cpu,
        T::RlimitFsize => Resource::Fsize,
        T::RlimitData => Resource::Data,
        T::RlimitStack => Resource::Stack,
        T::RlimitCore => Resource::Core,
        T::RlimitRss => Resource::Rss,
        T::RlimitNproc => Resource::Nproc,
        T::RlimitNofile => Resource::Nofile,
        T::RlimitMemlock => Resource::Memlock,
        T::RlimitAs => Resource::As,
        T::RlimitLocks => Resource::Locks,
        T::RlimitSigpending => Resource::Sigpending,
        T::RlimitMsgqueue => Resource::Msgqueue,
        T::RlimitNice => Resource::Nice,
        T::RlimitRtprio => Resource::Rtprio,
        T::RlimitRttime => Resource::Rttime,
    })
}
