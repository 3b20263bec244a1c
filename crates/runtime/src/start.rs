//! start: the word that lets a created sandbox execute its workload.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Pid;

use crate::cgroup::Cgroup;
use crate::gate::{self, Message};
use crate::hooks::{HookError, Hooks, Stage};
use crate::net_devices::Moved;
use crate::rootfs::lent::LentRoot;
use crate::step::StepError;

/// A sandbox that is complete and waits to be started. Its process is a child of the caller.
#[derive(Debug)]
pub struct Created {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    pub(crate) channel: OwnedFd,
    pub(crate) console_master: Option<OwnedFd>,
    pub(crate) cgroup: Cgroup,
    pub(crate) hooks: Hooks,
    pub(crate) net_devices: Moved,
    pub(crate) lent_root: Option<LentRoot>,
}

/// A sandbox whose workload was executed (or has ended already). Its process is a child of the caller.
#[derive(Debug)]
pub struct Running {
    /// The process's id, as the caller sees it.
    pub pid: Pid,
    /// Its pidfd: poll(2) says when it ended, [`crate::wait`] how.
    pub pidfd: OwnedFd,
    /// The console's master, where there is one and it was not taken before.
    pub console_master: Option<OwnedFd>,
    /// Its cgroup.
    pub cgroup: Cgroup,
}

/// Why a workload was not executed. The sandbox's process has ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No such program in the container (or no such interpreter): exit code 127.
    #[error(transparent)]
    NotFound(StepError),
    /// The program cannot be executed: exit code 126.
    #[error(transparent)]
    NotExecutable(StepError),
    /// A poststart hook failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The sandbox is not there to be started: it died, or was started before.
    #[error("the sandbox does not wait to be started")]
    NotWaiting {
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl StartError {
    /// The exit code that stands for this failure: 127, 126 or, where the fault is not the command's, 125.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound(_) => 127,
            Self::NotExecutable(_) => 126,
            Self::Hook(_) | Self::NotWaiting { .. } => 125,
        }
    }

    fn of(error: StepError) -> Self {
        if error.kind() == std::io::ErrorKind::NotFound {
            Self::NotFound(error)
        } else {
            Self::NotExecutable(error)
        }
    }
}

impl Created {
    /// The process's id, as the caller sees it.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The process's pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Takes the console's master: Some once, where the configuration asks for a terminal.
    pub fn console_master(&mut self) -> Option<OwnedFd> {
        self.console_master.take()
    }

    /// Opens the sandbox's network namespace.
    ///
    /// # Errors
    /// The process is gone.
    pub fn netns(&self) -> std::io::Result<OwnedFd> {
        std::fs::File::open(format!("/proc/{}/ns/net", self.pid)).map(OwnedFd::from)
    }

    /// The sandbox's cgroup.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Executes the workload and runs the poststart hooks.
    ///
    /// # Errors
    /// It could not be executed, or a hook failed. The process is reaped; the cgroup is left for the caller to delete,
    /// and so are the poststop hooks (see [`crate::hooks`]).
    pub fn start(self) -> Result<Running, StartError> {
        let pid = self.pid.as_raw_nonzero().get();
        let started = go(self.channel.as_fd());
        if let Err(error) = started.and_then(|()| Ok(self.hooks.run(Stage::Poststart, pid)?)) {
            crate::wait::kill_and_reap(self.pidfd.as_fd());
            return Err(error);
        }
        let Self { pid, pidfd, console_master, cgroup, .. } = self;
        Ok(Running { pid, pidfd, console_master, cgroup })
    }

    /// Lets go of a sandbox that was made with a start socket and is noted down: it waits there from here on. Until
    /// this word it ends if the caller does.
    ///
    /// # Errors
    /// The process has ended.
    pub fn leave(self) -> std::io::Result<()> {
        Ok(gate::send_go(self.channel.as_fd())?)
    }

    /// Kills the process that waits, reaps it and removes the cgroup. Network devices go back to where they were.
    ///
    /// # Errors
    /// The cgroup could not be removed.
    pub fn abandon(self) -> Result<(), crate::cgroup::CgroupError> {
        self.net_devices.put_back();
        crate::wait::kill_and_reap(self.pidfd.as_fd());
        self.lent_root.into_iter().for_each(LentRoot::take_back);
        self.cgroup.destroy()
    }
}

/// Starts a sandbox that another process created with `start_socket` bound to `path`.
///
/// # Errors
/// Nobody waits at that socket, or the workload could not be executed.
pub fn start_at(path: &Path) -> Result<(), StartError> {
    let not_waiting = |source: rustix::io::Errno| StartError::NotWaiting { source: source.into() };
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(not_waiting)?;
    connect_to(&socket, path).map_err(not_waiting)?;
    go(socket.as_fd())
}

/// A socket for [`start_at`], listening at `path` for init to take its start from.
///
/// # Errors
/// The path exists or cannot be made.
pub fn start_socket(path: &Path) -> std::io::Result<OwnedFd> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    with_address(path, |address| rustix::net::bind(&socket, address))?;
    rustix::net::listen(&socket, 4)?;
    Ok(socket)
}

/// Connects to the start socket at `path`.
pub(crate) fn connect_to(socket: &OwnedFd, path: &Path) -> rustix::io::Result<()> {
    with_address(path, |address| rustix::net::connect(socket, address))
}

/// Uses a socket's path as an address. An address holds 107 bytes (unix(7)); a longer path is named through a
/// descriptor of its directory.
fn with_address<T>(
    path: &Path,
    used: impl FnOnce(&SocketAddrUnix) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    if let Ok(address) = SocketAddrUnix::new(path) {
        return used(&address);
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(rustix::io::Errno::INVAL);
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
    used(&SocketAddrUnix::new(&short)?)
}

fn go(channel: BorrowedFd<'_>) -> Result<(), StartError> {
    go_with(channel, |_| Err(StepError::rule("nobody waits for the system call filter's descriptor")))
}

/// Lets a process execute its program; `hand_over` gets the descriptor of its filter, where an agent waits for it.
pub(crate) fn go_with(
    channel: BorrowedFd<'_>,
    mut hand_over: impl FnMut(OwnedFd) -> Result<(), StepError>,
) -> Result<(), StartError> {
    let not_waiting = |source: rustix::io::Errno| StartError::NotWaiting { source: source.into() };
    gate::send_go(channel).map_err(not_waiting)?;
    let mut executing = false;
    loop {
        match gate::receive(channel).map_err(not_waiting)? {
            Message::Executing => executing = true,
            Message::Failed(error) => return Err(StartError::of(error)),
            Message::Filter(filter) => hand_over(filter).map_err(StartError::of)?,
            // The end: the workload is executed. If the process died at that, its exit status says so.
            _ if executing => return Ok(()),
            _ => return Err(StartError::NotWaiting { source: std::io::ErrorKind::ConnectionReset.into() }),
        }
    }
}
