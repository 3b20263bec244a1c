//! Being born into a PID namespace that exists.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space};

use super::move_into_process;
use crate::step::{Step, StepError};

/// While it lives, children of this process are born into another PID namespace: setns(2) with a PID namespace moves
/// only the children. That saves the process in the middle that other runtimes need.
#[derive(Debug)]
pub(crate) struct BornInto {
    /// None: there is no way back.
    own: Option<OwnedFd>,
}

impl BornInto {
    /// From here on children are born into `target`: a namespace or, with its flag, the one of a pidfd's process.
    pub(crate) fn enter(target: &Target<'_>) -> Result<Self, StepError> {
        let what = || "could not join the PID namespace";
        let own = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .step(what)?;
        match target {
            Target::Namespace(fd) => {
                move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::ProcessID))
            }
            Target::Process(pidfd) => move_into_process(pidfd.as_fd(), ThreadNameSpaceType::PROCESS_ID),
        }
        .step(what)?;
        Ok(Self { own: Some(own) })
    }

    /// For a child: nothing of the namespace that it came from is left, which those of the new one could get hold of.
    pub(crate) fn stay(mut self) {
        self.own = None;
    }
}

impl Drop for BornInto {
    fn drop(&mut self) {
        let Some(own) = &self.own else { return };
        // Our own namespace can always be entered again; if not, later children would be born in the wrong place,
        // and the next clone fails with the reason.
        if let Err(error) = move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID)) {
            tracing::error!(%error, "could not go back to the PID namespace for children");
        }
    }
}

/// A PID namespace, by its own descriptor or a process in it.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    Namespace(&'a OwnedFd),
    Process(BorrowedFd<'a>),
}
