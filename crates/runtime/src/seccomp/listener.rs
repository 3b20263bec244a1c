//! The way of a filter's descriptor to the agent that answers its calls.
//!
//! The kernel gives the descriptor to the process that installs the filter, which may be unable to send it from then
//! on: the filter may refuse sendmsg(2), or hand it to the very agent that waits for the descriptor. A helper, made
//! before, sends it: it shares the descriptors but not the filter (as crun does it). The two speak through a shared
//! page, because that needs no call.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::compile::Filter;
use super::notify::{Connection, handing_over, own_id};
use crate::step::{Step, StepError};
use crate::sys;
use crate::sys::clone::{Side, const_flag, fork_into};
use crate::sys::shared::SharedWord;
use crate::{gate, procfs};

/// Whom a process gives its filter's descriptor.
#[derive(Debug)]
pub(crate) enum Listener {
    /// The agent itself: the runtime may have ended when the sandbox is started.
    Agent {
        connection: Connection,
        /// The runtime's procfs.
        proc: OwnedFd,
    },
    /// The runtime that executes a process in a sandbox, over their channel; it hands it on. So the process needs no
    /// descriptors that others in the sandbox could get hold of.
    Runtime,
}

impl Listener {
    /// One that gives it to the agent.
    pub(crate) fn agent(connection: Connection) -> Result<Self, StepError> {
        Ok(Self::Agent { connection, proc: procfs::open()? })
    }

    /// The same with its descriptors at `above` or higher, out of the way of those that the workload gets.
    pub(crate) fn out_of_the_way(&self, above: i32) -> Result<Self, StepError> {
        let what = || "could not keep the agent's connection";
        match self {
            Self::Agent { connection, proc } => Ok(Self::Agent {
                connection: connection.out_of_the_way(above).step(what)?,
                proc: fcntl_dupfd_cloexec(proc, above).step(what)?,
            }),
            Self::Runtime => Ok(Self::Runtime),
        }
    }

    /// Installs the filter and hands its descriptor over, before anything can need an answer. `channel` leads to the
    /// runtime.
    pub(crate) fn install(&self, filter: &Filter, channel: BorrowedFd<'_>) -> Result<(), StepError> {
        match self {
            Self::Agent { connection, proc } => {
                let message = own_id(proc).and_then(|pid| connection.message(pid)).step(handing_over)?;
                install(filter, |fd| connection.send(&message, fd))
            }
            Self::Runtime => install(filter, |fd| gate::send_filter(channel, fd)),
        }
    }
}

fn install(
    filter: &Filter,
    deliver: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<()>,
) -> Result<(), StepError> {
    let word = SharedWord::new().step(handing_over)?;
    let own = pidfd_open(getpid(), PidfdFlags::empty()).step(handing_over)?;
    // Forgotten when it ends: the workload would not know whose child it is.
    sys::signals::forget_children().step(handing_over)?;
    let side = fork_into(const_flag(libc::CLONE_FILES), None).step(handing_over)?;
    if matches!(side, Side::Child) {
        help(deliver, &word, &own);
    }
    let installed = sys::seccomp::install_with_listener(&filter.program, filter.flags);
    // From here on no call is made before the helper is done: it might be one that the agent has to answer.
    let told = installed.as_ref().map_or(GIVEN_UP, AsRawFd::as_raw_fd);
    word.value().store(told, Ordering::Release);
    // Not closed but by the workload's execution: close(2) is a call too.
    std::mem::forget(installed.step(|| "could not install the system call filter")?);
    let begin = Instant::now();
    loop {
        match word.value().load(Ordering::Acquire) {
            SENT => return Ok(()),
            failed if failed <= FAILED => {
                return Err(Errno::from_raw_os_error(FAILED - failed)).step(handing_over);
            }
            // The clock is read without a call.
            _ if begin.elapsed() > PATIENCE => return Err(Errno::TIMEDOUT).step(handing_over),
            _ => std::hint::spin_loop(),
        }
    }
}

/// How long the agent's socket may take the message.
const PATIENCE: Duration = Duration::from_secs(10);
const A_MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000 };

// What the shared word says beside a descriptor's number.
const WAITING: i32 = -1;
const GIVEN_UP: i32 = -2;
const SENT: i32 = -3;
/// Less an error number.
const FAILED: i32 = -1000;

/// The helper: waits for the descriptor's number, delivers the descriptor, ends.
fn help(
    deliver: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<()>,
    word: &SharedWord,
    helped: &OwnedFd,
) -> ! {
    let number = loop {
        match word.value().load(Ordering::Acquire) {
            WAITING => {
                // The one that is helped may end without a word.
                if matches!(poll(&mut [PollFd::new(&helped, PollFlags::IN)], Some(&A_MOMENT)), Ok(1..)) {
                    sys::exec::exit_now(1);
                }
            }
            told => break told,
        }
    };
    if number >= 0 {
        let delivered = sys::fds::inherited(number).and_then(|filter| deliver(filter.as_fd()));
        let told = delivered.map_or_else(|error| FAILED - error.raw_os_error(), |()| SENT);
        word.value().store(told, Ordering::Release);
    }
    sys::exec::exit_now(0)
}
