//! How the sandbox's first process comes into being: one clone3, or one more by a process in the middle, where a
//! namespace has to be joined before (see [`NamespacePlan::joins_before_birth`]).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxNamespaceType, LinuxResources};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::create::CreateError;
use crate::gate::{self, Message};
use crate::hidden::{Hidden, hide_from_others};
use crate::init::{self, InitPlan};
use crate::namespaces::{BornInto, NamespacePlan, Target};
use crate::net_devices::Moved;
use crate::step::{Step, StepError};
use crate::sys::clone::{Side, fork_into, fork_sibling};
use crate::sys::exec::exit_now;

/// What the runtime has of a process after the fork.
#[derive(Debug)]
pub(crate) enum Fork {
    /// This is the new process.
    Child,
    /// The new process, as its parent has it.
    Born { pid: Pid, pidfd: OwnedFd },
    /// The process in the middle: [`complete`] waits for what it makes.
    Middle { pidfd: OwnedFd },
}

/// Makes the sandbox's process, in its new namespaces and its v2 group, and gives the end of the channel that is the
/// caller's: `ours` in the runtime, `theirs` in the new process. Nobody holds the other's, lest an end be missed.
pub(crate) fn fork(
    namespaces: &NamespacePlan,
    group: Option<BorrowedFd<'_>>,
    (ours, theirs): (OwnedFd, OwnedFd),
) -> Result<(Fork, OwnedFd), StepError> {
    let what = || "could not make the sandbox's process";
    if namespaces.joins_before_birth() {
        return match fork_into(0, group).step(what)? {
            Side::Parent { pidfd, .. } => Ok((Fork::Middle { pidfd }, ours)),
            Side::Child => {
                drop(ours);
                let side = hide_from_others()
                    .and_then(|()| join(namespaces))
                    .and_then(|()| fork_sibling(namespaces.clone_flags).step(what));
                hand_over(side, theirs.as_fd()).map(|fork| (fork, theirs))
            }
        };
    }
    let born_into =
        namespaces.pid.as_ref().map(|pid| BornInto::enter(&Target::Namespace(pid))).transpose()?;
    // Processes of that namespace see it at once. In a user namespace of its own it is out of their reach.
    let is_seen = born_into.is_some() && !namespaces.makes(LinuxNamespaceType::User);
    let hidden = if is_seen { Hidden::begin()? } else { None };
    let forked = fork_into(namespaces.clone_flags, group).map_err(|error| refused(error, namespaces))?;
    match forked {
        Side::Parent { pid, pidfd } => Ok((Fork::Born { pid, pidfd }, ours)),
        Side::Child => {
            drop(ours);
            // Going back is for the runtime only: children of init are born where init was.
            if let Some(born_into) = born_into {
                born_into.stay();
            }
            std::mem::forget(hidden);
            Ok((Fork::Child, theirs))
        }
    }
}

/// The usual reason why a user may make no namespaces, in words.
fn refused(error: Errno, namespaces: &NamespacePlan) -> StepError {
    let what = if error == Errno::PERM && !namespaces.makes(LinuxNamespaceType::User) {
        "could not make the sandbox's process: without root, its namespaces need a new user namespace beside them"
    } else {
        "could not make the sandbox's process"
    };
    StepError::new(what, error)
}

/// In the middle: everything that is joined, the PID namespace for the child to be born into included.
fn join(namespaces: &NamespacePlan) -> Result<(), StepError> {
    namespaces.join()?;
    if let Some(pid) = &namespaces.pid {
        BornInto::enter(&Target::Namespace(pid))?.stay();
    }
    Ok(())
}

/// The end of the process in the middle, on both sides of its own fork: the child goes on, the parent tells who it is.
pub(crate) fn hand_over(side: Result<Side, StepError>, theirs: BorrowedFd<'_>) -> Result<Fork, StepError> {
    match side {
        Ok(Side::Child) => {
            // Nothing that it says may be heard before the word of who it is.
            gate::await_go(theirs)?;
            Ok(Fork::Child)
        }
        Ok(Side::Parent { pidfd, .. }) => {
            // The runtime may be gone; then there is nobody to tell, and the child finds out by itself.
            let _ = gate::send_born(theirs, pidfd.as_fd());
            exit_now(0)
        }
        Err(error) => init::fail(Some(theirs), &error),
    }
}

/// Waits, in the runtime, for a process in the middle to have made the one that counts.
pub(crate) fn complete(
    fork: Fork,
    ours: BorrowedFd<'_>,
    proc: BorrowedFd<'_>,
) -> Result<(Pid, OwnedFd), StepError> {
    let middle = match fork {
        Fork::Born { pid, pidfd } => return Ok((pid, pidfd)),
        Fork::Middle { pidfd } => pidfd,
        Fork::Child => return Err(StepError::rule("the sandbox's process cannot wait for itself")),
    };
    let heard = hear_of_birth(ours, middle.as_fd());
    crate::wait::kill_and_reap(middle.as_fd());
    match heard? {
        Message::Born(pidfd) => match pid_of(&pidfd, proc)
            .and_then(|pid| gate::send_go(ours).step(|| "the sandbox's process is gone").map(|()| pid))
        {
            Ok(pid) => Ok((pid, pidfd)),
            Err(error) => {
                crate::wait::kill_and_reap(pidfd.as_fd());
                Err(error)
            }
        },
        Message::Failed(error) => Err(error),
        _ => Err(StepError::rule("the process in the middle died before the sandbox's process was made")),
    }
}

/// The word of the process in the middle. What it has made holds the other end of the channel as well, and waits for ours:
/// one that dies before it could tell is known by its own end only.
fn hear_of_birth(ours: BorrowedFd<'_>, middle: BorrowedFd<'_>) -> Result<Message, StepError> {
    let what = || "could not hear from the process in the middle";
    let mut either = [PollFd::new(&ours, PollFlags::IN), PollFd::new(&middle, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut either, None)).step(what)?;
    // It may have told and ended since: what it said is looked for after it has been seen to have ended.
    let mut word = [PollFd::new(&ours, PollFlags::IN)];
    match rustix::io::retry_on_intr(|| poll(&mut word, Some(&Timespec::default()))).step(what)? {
        0 => Ok(Message::End),
        _ => gate::receive(ours).step(what),
    }
}

/// The id of the process behind a pidfd, as this process sees it: proc_pid_fdinfo(5), "Pid".
fn pid_of(pidfd: &OwnedFd, proc: BorrowedFd<'_>) -> Result<Pid, StepError> {
    let what = || "could not find out the id of the sandbox's process";
    let path = format!("self/fdinfo/{}", pidfd.as_raw_fd());
    let file = rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).step(what)?;
    let text = std::io::read_to_string(std::fs::File::from(file)).step(what)?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.and_then(Pid::from_raw).ok_or_else(|| StepError::rule("the sandbox's process died as it was made"))
}

/// What only the runtime can do for the process: the map of its user namespace, what belongs to the host, a cgroup that
/// is made around it, and devices of the host's network.
pub(crate) fn set_up(
    plan: &InitPlan<'_>,
    resources: Option<&LinuxResources>,
    pid: Pid,
    moved: &mut Moved,
) -> Result<(), CreateError> {
    let (namespaces, proc) = (&plan.namespaces, plan.proc.as_fd());
    if let (true, Some(score)) = (namespaces.has(LinuxNamespaceType::User), plan.process.oom_score_adj) {
        crate::procfs::write(proc, &format!("{pid}/oom_score_adj"), score.to_string().as_bytes())
            .step(|| format!("could not set process.oomScoreAdj to {score}"))?;
    }
    if let (true, Some(maps)) = (namespaces.makes(LinuxNamespaceType::User), &namespaces.maps) {
        maps.write(pid, proc)?;
    }
    if plan.entrance.awaits {
        plan.cgroup.admit(pid, resources)?;
    }
    if !plan.net_devices.is_empty() {
        let new = || {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let netns = rustix::fs::openat(proc, format!("{pid}/ns/net"), flags, Mode::empty());
            netns.step(|| "could not open the container's network namespace")
        };
        match namespaces.joined(LinuxNamespaceType::Network) {
            Some(netns) => moved.bring(&plan.net_devices, netns)?,
            None => moved.bring(&plan.net_devices, new()?.as_fd())?,
        }
    }
    Ok(())
}
