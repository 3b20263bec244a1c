//! From a process of ours to the workload, step by step. The order matters: each step still has the privileges that
//! it needs, and the filter comes when almost nothing is left to be done.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::fchdir;

use super::plan::ProcessPlan;
use super::{rlimits, stdio};
use crate::hidden::hide_from_others;
use crate::rootfs::root::{Links, open_within};
use crate::seccomp::Listener;
use crate::step::{Step, StepError};
use crate::sys;

/// Writes the process's oom_score_adj through `proc`, a directory known to be the host's procfs.
pub(crate) fn set_oom_score_adj(plan: &ProcessPlan, proc: BorrowedFd<'_>) -> Result<(), StepError> {
    let Some(score) = plan.oom_score_adj else { return Ok(()) };
    crate::procfs::write(proc, "self/oom_score_adj", score.to_string().as_bytes())
        .step(|| format!("could not set process.oomScoreAdj to {score}"))
}

/// Everything up to the point where the process only waits to be started. It is in its namespaces and its root.
pub(crate) fn prepare(plan: &ProcessPlan, kept: &mut stdio::Kept) -> Result<(), StepError> {
    rlimits::apply(&plan.rlimits)?;
    if let Some(value) = plan.io_priority {
        sys::exec::set_io_priority(value).step(|| "could not set process.ioPriority")?;
    }
    if let Some(scheduler) = &plan.scheduler {
        scheduler.apply()?;
    }
    if let Some(policy) = &plan.memory_policy {
        policy.apply()?;
    }
    if let Some(domain) = plan.personality {
        sys::exec::set_personality(domain).step(|| "could not set linux.personality")?;
    }
    if plan.new_keyring {
        leave_session_keyring()?;
    }
    enter_cwd(plan)?;
    kept.give_pipes_to(plan.uid, plan.gid)?;
    if let Some(landlock) = &plan.landlock {
        kept.keep_rules(&landlock.ruleset()?)?;
    }
    plan.capabilities.drop_bounding()?;
    change_user(plan)?;
    plan.capabilities.apply(filter_needs_admin(plan))?;
    plan.capabilities.raise_ambient()?;
    if plan.no_new_privileges {
        rustix::thread::set_no_new_privs(true).step(|| "could not set no_new_privs")?;
    }
    rustix::process::umask(Mode::from_raw_mode(plan.umask));
    // Another user's process is as visible as fs.suid_dumpable says: proc_sys_fs(5).
    hide_from_others()
}

/// The last steps, after the start: descriptors, signals, filter, program. Returns only on failure, with the
/// channel on which to report it.
pub(crate) fn execute(
    plan: &ProcessPlan,
    mut kept: stdio::Kept,
    channel: OwnedFd,
) -> (Option<OwnedFd>, StepError) {
    let rules = kept.take_rules();
    let above = kept.first_free();
    let listener = plan.listener.as_ref().map(|listener| listener.out_of_the_way(above)).transpose();
    let channel = match kept.put_in_place(channel) {
        Ok(channel) => channel,
        Err(error) => return (None, error),
    };
    let error = match listener {
        Ok(listener) => execute_in_place(plan, rules, listener, channel.as_fd()),
        Err(error) => error,
    };
    (Some(channel), error)
}

/// As [`execute`] where the descriptors are in place already.
pub(crate) fn execute_in_place(
    plan: &ProcessPlan,
    rules: Option<OwnedFd>,
    listener: Option<Listener>,
    channel: BorrowedFd<'_>,
) -> StepError {
    sys::signals::reset();
    let restricted = rules.map_or(Ok(()), |rules| {
        sys::landlock::restrict_self(rules.as_fd()).step(|| "could not put the Landlock ruleset in force")
    });
    match restricted.and_then(|()| install_filter(plan, listener, channel)) {
        Ok(()) => plan.program.execute(),
        Err(error) => error,
    }
}

/// Leaves the caller's session keyring, whose keys the workload could use, for an empty one. A kernel without keys
/// (ENOSYS) has none to hide; where a filter around us refuses the call (EPERM), it refuses the workload's as well.
fn leave_session_keyring() -> Result<(), StepError> {
    match sys::exec::join_new_session_keyring() {
        Ok(()) | Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        Err(error) => Err(error).step(|| "could not make a session keyring"),
    }
}

/// Enters `process.cwd`, resolved within the root and made where missing. A magic link (/proc/self/fd/N) is refused:
/// it could lead to a directory outside.
fn enter_cwd(plan: &ProcessPlan) -> Result<(), StepError> {
    let what = || format!("the working directory {} cannot be used", plan.cwd.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let root = rustix::fs::open("/", flags | OFlags::CLOEXEC, Mode::empty()).step(what)?;
    let cwd = match open_within(root.as_fd(), &plan.cwd, flags, Links::Within) {
        Err(Errno::NOENT) => crate::rootfs::root::Root::new(root).ensure_dir(&plan.cwd, Links::Within)?,
        other => other.step(what)?,
    };
    fchdir(&cwd).step(what)?;
    // The kernel marks a directory that the root does not hold.
    let name = rustix::process::getcwd(Vec::new()).step(what)?;
    if name.to_bytes().starts_with(b"/") { Ok(()) } else { Err(StepError::new(what(), Errno::XDEV)) }
}

fn change_user(plan: &ProcessPlan) -> Result<(), StepError> {
    use rustix::thread::{set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let what = || format!("could not become user {}:{}", plan.uid.as_raw(), plan.gid.as_raw());
    set_keep_capabilities(true).step(what)?;
    match set_thread_groups(&plan.groups) {
        // A user namespace without privileges outside has given them up: user_namespaces(7), "setgroups".
        Err(Errno::PERM) if plan.groups.is_empty() => {}
        Err(Errno::PERM) => {
            return Err(Errno::PERM).step(|| {
                "could not set process.user.additionalGids, which a user namespace with a single group does not allow"
            });
        }
        changed => changed.step(what)?,
    }
    set_thread_res_gid(plan.gid, plan.gid, plan.gid).step(what)?;
    set_thread_res_uid(plan.uid, plan.uid, plan.uid).step(what)?;
    set_keep_capabilities(false).step(what)
}

/// Without no_new_privs only `CAP_SYS_ADMIN` may install a filter: it is kept until then, whoever the user is.
fn filter_needs_admin(plan: &ProcessPlan) -> bool {
    plan.filter.is_some() && !plan.no_new_privileges
}

fn install_filter(
    plan: &ProcessPlan,
    listener: Option<Listener>,
    channel: BorrowedFd<'_>,
) -> Result<(), StepError> {
    let Some(filter) = &plan.filter else { return Ok(()) };
    match listener {
        Some(listener) => listener.install(filter, channel)?,
        None => sys::seccomp::install(&filter.program, filter.flags)
            .step(|| "could not install the system call filter")?,
    }
    if filter_needs_admin(plan) { plan.capabilities.apply(false) } else { Ok(()) }
}
