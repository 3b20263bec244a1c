//! What a keeper is to do, and how it is told.
//!
//! Loading a program takes the kernel about as long as finding an image and writing a sandbox down. So a keeper can be
//! started first and be told afterwards, through a socket, what it is for. If nothing comes of the sandbox, the socket
//! closes and the keeper ends.

use crate::dirs::Dirs;
use crate::process::own_file;
use crate::sandbox::{KeeperLock, SandboxId};
use gaufre_runtime::sealed_exe;
use rustix::io::{FdFlags, IoSlice, IoSliceMut, fcntl_setfd, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// What a keeper is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Bring the sandbox up.
    Start,
    /// Go on where a killed keeper stopped.
    TakeOver,
}

/// A keeper that has been started and not yet been told what to do. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct WaitingKeeper {
    line: OwnedFd,
}

/// The keeper's end of its descriptors.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) task: Task,
    /// Where to say whether the start succeeded.
    pub(super) report: OwnedFd,
    /// The keeper's lock, taken by whoever started us and ours from here on.
    pub(super) lock: KeeperLock,
    /// What takes the keeper's own words.
    pub(super) log: OwnedFd,
    /// The line to the first client, there before the workload writes its first byte.
    pub(super) client: Option<UnixStream>,
}

impl WaitingKeeper {
    /// Starts the keeper of the sandbox that has, or will have, this ID. One that is likely to need a network namespace
    /// makes it while it waits.
    pub(crate) fn start(dirs: &Dirs, id: &SandboxId, makes_netns: bool) -> io::Result<Self> {
        // The keeper enters no sandbox, but the processes that it clones for one start out as copies of it.
        let exe = sealed_exe().map_err(io::Error::other)?;
        let (line, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
        // The keeper's own /proc/self/exe is the sealed copy; by this name it still knows the file.
        command.arg0(own_file()?);
        command
            .arg("keeper")
            .arg(&dirs.root)
            .arg(&dirs.run)
            .arg(id.as_str())
            .arg(theirs.as_raw_fd().to_string())
            .args(makes_netns.then_some(MAKE_NETNS));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
        fcntl_setfd(&theirs, FdFlags::empty())?;
        // Nobody waits for it: it outlives us, and if it does not, it is our parent's to reap.
        let _keeper = command.spawn()?;
        Ok(Self { line })
    }

    /// Tells it what to do.
    pub(super) fn assign(
        &self,
        task: Task,
        report: BorrowedFd<'_>,
        lock: &KeeperLock,
        log: BorrowedFd<'_>,
        client: Option<&UnixStream>,
    ) -> io::Result<()> {
        let fds: Vec<BorrowedFd<'_>> =
            [report, lock.0.as_fd(), log].into_iter().chain(client.map(AsFd::as_fd)).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let word = [match task {
            Task::Start => START,
            Task::TakeOver => TAKE_OVER,
        }];
        retry_on_intr(|| sendmsg(&self.line, &[IoSlice::new(&word)], &mut control, SendFlags::NOSIGNAL))?;
        Ok(())
    }
}

/// Waits for the word; `None` when none will come.
pub(super) fn receive(line: &OwnedFd) -> io::Result<Option<Assignment>> {
    let mut word = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    retry_on_intr(|| {
        recvmsg(line, &mut [IoSliceMut::new(&mut word)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut fds = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let task = match word {
        [START] => Task::Start,
        [TAKE_OVER] => Task::TakeOver,
        _ => return Ok(None),
    };
    let (Some(report), Some(lock), Some(log)) = (fds.next(), fds.next(), fds.next()) else { return Ok(None) };
    Ok(Some(Assignment {
        task,
        report,
        lock: KeeperLock(lock),
        log,
        client: fds.next().map(UnixStream::from),
    }))
}

/// The word on a keeper's command line that has it make a network namespace.
pub(super) const MAKE_NETNS: &str = "netns";

const START: u8 = b's';
const TAKE_OVER: u8 = b't';
