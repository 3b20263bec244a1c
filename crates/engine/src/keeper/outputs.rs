//! What the workload writes: FIFOs for its standard streams, or the master of its terminal.

use crate::logs::{LogWriter, Stream};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice, tee};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// One source of output.
#[derive(Debug)]
pub(super) struct Output {
    kind: Kind,
    /// Whether the other end is closed for good.
    ended: bool,
}

#[derive(Debug)]
enum Kind {
    /// A FIFO that the workload writes into.
    Fifo(Fifo),
    /// A terminal's master, whose bytes are gone from it once they are read; and a FIFO that the kernel moves them into
    /// in one step, so that they are always in one of the two.
    Terminal { master: OwnedFd, transit: Fifo },
}

/// A FIFO, and a pipe into which its content is copied before it is taken out.
#[derive(Debug)]
struct Fifo {
    fd: OwnedFd,
    stream: Stream,
    copy_in: OwnedFd,
    copy_out: OwnedFd,
}

/// The FIFO between a terminal's master and the log, below the run directory.
pub(super) const TRANSIT: &str = "terminal";

const CHUNK_BYTES: usize = 32 * 1024;

impl Output {
    /// The output that arrives in `fifo`, which is open for reading and writing, so that it never ends by itself.
    pub(super) fn fifo(fifo: OwnedFd, stream: Stream) -> io::Result<Self> {
        Ok(Self { kind: Kind::Fifo(Fifo::new(fifo, stream)?), ended: false })
    }

    /// The output that arrives at a terminal's master. `transit` is a FIFO, open as in [`Output::fifo`], in which there
    /// may be what an earlier keeper had no time to log.
    pub(super) fn terminal(master: OwnedFd, transit: OwnedFd) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
        let transit = Fifo::new(transit, Stream::Stdout)?;
        Ok(Self { kind: Kind::Terminal { master, transit }, ended: false })
    }

    /// What to poll.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        let fd = match &self.kind {
            Kind::Fifo(fifo) => fifo.fd.as_fd(),
            Kind::Terminal { master, .. } => master.as_fd(),
        };
        (!self.ended).then_some(fd)
    }

    /// The terminal's master, if it is one.
    pub(super) fn terminal_master(&self) -> Option<BorrowedFd<'_>> {
        match &self.kind {
            Kind::Fifo(_) => None,
            Kind::Terminal { master, .. } => Some(master.as_fd()),
        }
    }

    /// Our end of the FIFO, whose content is lost when nobody has it open.
    pub(super) fn fifo_end(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Fifo(fifo) | Kind::Terminal { transit: fifo, .. } => fifo.fd.as_fd(),
        }
    }

    /// Takes one chunk: into the log first, then out of the FIFO, then to `see`. A kill in between logs a chunk twice,
    /// never not at all. Returns whether there was anything.
    pub(super) fn take(&mut self, log: &mut Option<LogWriter>, see: impl FnMut(Stream, &[u8])) -> bool {
        match &self.kind {
            Kind::Fifo(fifo) => fifo.take(log, see),
            Kind::Terminal { master, transit } => {
                // EIO: every process that had the terminal open has closed it. One may open it again, so this is
                // the end only when the workload has ended too; until then polling would spin.
                self.ended = !draw(master, &transit.fd);
                transit.take(log, see)
            }
        }
    }

    /// A terminal that all had closed may have been opened again.
    pub(super) fn look_again(&mut self) {
        self.ended = false;
    }
}

/// Moves what there is at a terminal's master into a FIFO; splice(2) of terminals is in Linux since 5.11. Returns whether
/// there may come more.
fn draw(master: &OwnedFd, fifo: &OwnedFd) -> bool {
    match splice(master, None, fifo, None, CHUNK_BYTES, SpliceFlags::NONBLOCK) {
        Ok(len) => len > 0,
        // Nothing there, or the FIFO is full, which is emptied next.
        Err(Errno::AGAIN | Errno::INTR) => true,
        Err(_) => false,
    }
}

impl Fifo {
    fn new(fd: OwnedFd, stream: Stream) -> io::Result<Self> {
        let (copy_out, copy_in) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { fd, stream, copy_in, copy_out })
    }

    fn take(&self, log: &mut Option<LogWriter>, mut see: impl FnMut(Stream, &[u8])) -> bool {
        let mut chunk = [0; CHUNK_BYTES];
        let Ok(copied) = tee(&self.fd, &self.copy_in, CHUNK_BYTES, SpliceFlags::NONBLOCK) else {
            return false;
        };
        let copied = read_exactly(self.copy_out.as_fd(), &mut chunk, copied);
        if copied == 0 {
            return false;
        }
        write_log(log, self.stream, &chunk[..copied]);
        // The same bytes again, now for good; nobody else reads here.
        let taken = read_exactly(self.fd.as_fd(), &mut chunk, copied);
        see(self.stream, &chunk[..taken]);
        true
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    fn terminal() -> (OwnedFd, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(ptsname(&master, Vec::new()).unwrap(), flags, Mode::empty()).unwrap();
        (master, slave)
    }

    #[test]
    fn what_a_dead_keeper_had_taken_off_the_terminal_comes_before_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terminal");
        let (master, slave) = terminal();
        // The holder's.
        let _held = make_fifo(&path, 0).unwrap();
        let first = Output::terminal(master.try_clone().unwrap(), open_fifo(&path).unwrap()).unwrap();
        rustix::io::write(&slave, b"early ").unwrap();
        assert!(draw(&master, &open_fifo(&path).unwrap()));
        // Killed at its worst moment.
        drop(first);
        rustix::io::write(&slave, b"late").unwrap();
        let mut seen = Vec::new();
        let mut second = Output::terminal(master, open_fifo(&path).unwrap()).unwrap();
        while second.take(&mut None, |_, bytes| seen.extend_from_slice(bytes)) {}
        assert_eq!(seen, b"early late");
        assert!(second.as_fd().is_some());
        drop(slave);
        assert!(!second.take(&mut None, |_, _| ()));
        assert!(second.as_fd().is_none(), "a closed terminal is polled");
    }

    #[test]
    fn a_terminal_passes_on_more_than_a_fifo_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (fifo, _theirs) = make_fifo(&dir.path().join("terminal"), 0).unwrap();
        let (master, slave) = terminal();
        let mut output = Output::terminal(master, fifo).unwrap();
        let line = b"0123456789abcde";
        let mut seen = 0;
        for _ in 0..20_000 {
            assert_eq!(rustix::io::write(&slave, line).unwrap(), line.len());
            output.take(&mut None, |_, bytes| seen += bytes.len());
        }
        while output.take(&mut None, |_, bytes| seen += bytes.len()) {}
        assert_eq!(seen, 20_000 * line.len());
    }
}
