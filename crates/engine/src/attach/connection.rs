//! A client's end of the line.

use super::frame::{ClientFrame, FrameBuffer, FrameError, KeeperFrame};
use crate::failure::Failure;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Which of a workload's streams a client takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachStreams {
    /// Send input.
    pub stdin: bool,
    /// See the output.
    pub stdout: bool,
    /// See the error output.
    pub stderr: bool,
}

/// The line to a sandbox's keeper cannot be had, or broke.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No sandbox goes by that name.
    #[error(transparent)]
    Find(#[from] crate::sandbox::FindError),
    /// There is nothing to attach to.
    #[error("container {name} is not running")]
    NotRunning {
        /// Which.
        name: String,
    },
    /// The keeper does not answer.
    #[error("cannot reach the keeper at {}", path.display())]
    Connect {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The line broke.
    #[error("the line to the keeper broke")]
    Line(#[source] io::Error),
    /// The other side speaks something else.
    #[error("the keeper speaks another protocol")]
    Protocol(#[from] FrameError),
}

impl Failure for AttachError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Find(error) => error.hint(),
            Self::NotRunning { name } => {
                Some(format!("Start it and take part: gaufre start --attach {name}"))
            }
            _ => None,
        }
    }
}

/// A client's end of the line to a keeper. Read from it when its descriptor is readable.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    received: FrameBuffer,
    /// Whether the sandbox has a terminal.
    pub terminal: bool,
}

impl Connection {
    pub(crate) fn open(
        socket: UnixStream,
        streams: AttachStreams,
        terminal: bool,
    ) -> Result<Self, AttachError> {
        let mut connection = Self { socket, received: FrameBuffer::default(), terminal };
        let AttachStreams { stdin, stdout, stderr } = streams;
        connection.send(&ClientFrame::Hello { stdin, stdout, stderr })?;
        Ok(connection)
    }

    /// Says something to the keeper; waits while the line is full.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub fn send(&mut self, frame: &ClientFrame) -> Result<(), AttachError> {
        self.socket.write_all(&frame.encode()).map_err(AttachError::Line)
    }

    /// What the keeper said next; waits for it. `None` when the keeper has hung up.
    ///
    /// # Errors
    /// When the line breaks or carries something else than this protocol.
    pub fn recv(&mut self) -> Result<Option<KeeperFrame>, AttachError> {
        loop {
            if let Some(frame) = self.received.next_keeper()? {
                return Ok(Some(frame));
            }
            let mut chunk = [0; 64 * 1024];
            match self.socket.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(len) => self.received.extend(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A keeper that dies with input of ours unread resets the line.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(AttachError::Line(error)),
            }
        }
    }

    /// A frame that has already been received whole; never waits. A caller that polls the descriptor asks for these
    /// first, because one read may bring several.
    ///
    /// # Errors
    /// When the line carries something else than this protocol.
    pub fn buffered(&mut self) -> Result<Option<KeeperFrame>, AttachError> {
        Ok(self.received.next_keeper()?)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Connects to the socket at `path`, however long that is: sun_path takes 107 bytes (unix(7)), so the directory is
/// named by a descriptor.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_directory, address) = short_address(path)?;
    let socket = new_socket()?;
    rustix::net::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

/// Listens at `path`, in the place of whatever was there.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (_directory, address) = short_address(path)?;
    let socket = new_socket()?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket)
}

fn new_socket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

fn short_address(path: &Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let directory = open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let through = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    let address = SocketAddrUnix::new(through)?;
    Ok((directory, address))
}
