//! What the workload writes: FIFOs for its standard streams, or the master of its terminal.

use crate::logs::{LogWriter, Stream};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, tee};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// One source of output.
#[derive(Debug)]
pub(super) struct Output {
    fd: OwnedFd,
    kind: Kind,
    /// Whether the other end is closed for good.
    ended: bool,
}

#[derive(Debug)]
enum Kind {
    /// A FIFO, and a pipe into which its content is copied before it is taken out.
    Fifo { stream: Stream, copy_in: OwnedFd, copy_out: OwnedFd },
    /// A terminal's master.
    Terminal,
}

const CHUNK_BYTES: usize = 32 * 1024;

impl Output {
    /// The output that arrives in `fifo`, which is open for reading and writing, so that it never ends by itself.
    pub(super) fn fifo(fifo: OwnedFd, stream: Stream) -> io::Result<Self> {
        let (copy_out, copy_in) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { fd: fifo, kind: Kind::Fifo { stream, copy_in, copy_out }, ended: false })
    }

    /// The output that arrives at a terminal's master.
    pub(super) fn terminal(master: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        Ok(Self { fd: master, kind: Kind::Terminal, ended: false })
    }

    /// What to poll.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        (!self.ended).then(|| self.fd.as_fd())
    }

    /// The terminal's master, if it is one.
    pub(super) fn terminal_master(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.kind, Kind::Terminal).then(|| self.fd.as_fd())
    }

    /// Our end of the FIFO, if it is one.
    pub(super) fn fifo_end(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.kind, Kind::Fifo { .. }).then(|| self.fd.as_fd())
    }

    /// Takes one chunk: into the log first, then out of the FIFO, then to `see`. A kill in between logs a chunk twice,
    /// never not at all. Returns whether there was anything.
    pub(super) fn take(&mut self, log: &mut Option<LogWriter>, mut see: impl FnMut(Stream, &[u8])) -> bool {
        let mut chunk = [0; CHUNK_BYTES];
        match &self.kind {
            Kind::Fifo { stream, copy_in, copy_out } => {
                let Ok(copied) = tee(&self.fd, copy_in, CHUNK_BYTES, SpliceFlags::NONBLOCK) else {
                    return false;
                };
                let copied = read_exactly(copy_out.as_fd(), &mut chunk, copied);
                if copied == 0 {
                    return false;
                }
                write_log(log, *stream, &chunk[..copied]);
                // The same bytes again, now for good; nobody else reads here.
                let taken = read_exactly(self.fd.as_fd(), &mut chunk, copied);
                see(*stream, &chunk[..taken]);
                true
            }
            Kind::Terminal => match rustix::io::read(&self.fd, &mut chunk[..]) {
                Ok(len) if len > 0 => {
                    write_log(log, Stream::Stdout, &chunk[..len]);
                    see(Stream::Stdout, &chunk[..len]);
                    true
                }
                Err(Errno::AGAIN | Errno::INTR) => false,
                // EIO: every process that had the terminal open has closed it. One may open it again, so this is
                // the end only when the workload has ended too; until then polling would spin.
                Ok(_) | Err(_) => {
                    self.ended = true;
                    false
                }
            },
        }
    }

    /// A terminal that all had closed may have been opened again.
    pub(super) fn look_again(&mut self) {
        self.ended = false;
    }
}

/// Makes the FIFO at `path` for a workload that runs as `owner`, which may open it again as `/dev/stdout`. Returns our
/// end and the workload's: two open files, because only ours must not block. Both are open for reading and writing
/// (fifo(7), a Linux extension), so that neither end's death ends the other.
pub(super) fn make_fifo(path: &Path, owner: u32) -> io::Result<(OwnedFd, OwnedFd)> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let theirs = open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    rustix::fs::fchown(&theirs, Some(rustix::fs::Uid::from_raw(owner)), None)?;
    Ok((open_fifo(path)?, theirs))
}

/// Opens a FIFO that another keeper made.
pub(super) fn open_fifo(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?)
}

fn read_exactly(fd: BorrowedFd<'_>, chunk: &mut [u8], len: usize) -> usize {
    let mut filled = 0;
    while filled < len {
        match rustix::io::read(fd, &mut chunk[filled..len]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    filled
}

/// A full disk costs log lines, not the sandbox; a later write tries again.
fn write_log(log: &mut Option<LogWriter>, stream: Stream, bytes: &[u8]) {
    if let Some(log) = log
        && let Err(error) = log.write(stream, bytes)
    {
        tracing::warn!(%error, "output of the workload could not be logged");
    }
}
