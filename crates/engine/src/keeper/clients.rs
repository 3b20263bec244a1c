//! Those who are attached to a keeper.

use crate::attach::{ClientFrame, FrameBuffer, KeeperFrame};
use crate::logs::Stream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// While a client has more than this unread, the workload's output is not read either: a slow reader slows the
/// writer, as a pipe would, and nothing is lost or piled up.
const UNREAD_LIMIT_BYTES: usize = 256 * 1024;
/// How long the last frames may take before clients that do not read wait behind what else is to be done.
const FAREWELL: Duration = Duration::from_millis(500);

/// All that are attached now.
#[derive(Debug, Default)]
pub(super) struct Clients {
    clients: Vec<Client>,
}

/// One that is attached.
#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    received: FrameBuffer,
    unsent: VecDeque<u8>,
    wants: Wants,
    gone: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Wants {
    stdout: bool,
    stderr: bool,
}

/// What clients ask of the workload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Stdin(Vec<u8>),
    StdinClosed,
    Resize { rows: u16, cols: u16 },
}

impl Clients {
    /// The first client, if there is one, has said its hello before the keeper was started; it is heard now, so that
    /// nothing of the workload's output passes it by.
    pub(super) fn new(first: Option<UnixStream>) -> Self {
        let mut clients = Self::default();
        if let Some(socket) = first {
            // Fails for no socket; then the client is found gone at its first read.
            let _ = socket.set_nonblocking(true);
            clients.clients.push(Client::new(socket.into()));
        }
        clients
    }

    /// Takes in all that wait at `listener`, which does not block.
    pub(super) fn accept(&mut self, listener: BorrowedFd<'_>) {
        while let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            self.clients.push(Client::new(socket));
        }
    }

    /// Whether the workload may write on.
    pub(super) fn keep_up(&self) -> bool {
        self.clients.iter().all(|client| client.unsent.len() < UNREAD_LIMIT_BYTES)
    }

    /// The sockets to poll, and whether there is something to send on each. Without `hear` those to which there is
    /// not: what is not read must not wake us, nor may a hang-up that is not looked at.
    pub(super) fn sockets(&self, hear: bool) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let hearing = if hear { PollFlags::IN } else { PollFlags::empty() };
        self.clients.iter().filter_map(move |client| {
            let flags = if client.unsent.is_empty() { hearing } else { hearing | PollFlags::OUT };
            (!flags.is_empty()).then(|| (client.socket.as_fd(), flags))
        })
    }

    /// Queues output for those that want it.
    pub(super) fn output(&mut self, stream: Stream, bytes: &[u8]) {
        for client in &mut self.clients {
            let (wanted, frame): (bool, fn(Vec<u8>) -> KeeperFrame) = match stream {
                Stream::Stdout => (client.wants.stdout, KeeperFrame::Stdout),
                Stream::Stderr => (client.wants.stderr, KeeperFrame::Stderr),
            };
            if wanted {
                client.unsent.extend(frame(bytes.to_vec()).encode());
            }
        }
    }

    /// Hears every client, if `hear`, and sends what each can take; returns what they ask for.
    pub(super) fn talk(&mut self, hear: bool) -> Vec<Request> {
        let mut requests = Vec::new();
        for client in &mut self.clients {
            if hear {
                client.hear(&mut requests);
            }
            client.send();
        }
        self.clients.retain(|client| !client.gone);
        requests
    }

    /// The last word, after everything of the run has been taken down. Those that read have it when this returns.
    pub(super) fn tell_exit(&mut self, code: Option<i32>) {
        for client in &mut self.clients {
            client.unsent.extend(KeeperFrame::Exited { code }.encode());
        }
        let deadline = Instant::now() + FAREWELL;
        while self.send_rest() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stays with those that read slowly, a pager for one, until they have read all or gone.
    pub(super) fn wait_for_slow(&mut self) {
        while self.send_rest() {
            let mut polled: Vec<PollFd<'_>> =
                self.sockets(false).map(|(fd, wanted)| PollFd::from_borrowed_fd(fd, wanted)).collect();
            let _ = poll(&mut polled, None);
        }
    }

    /// Sends what can be sent; whether something is left to send.
    fn send_rest(&mut self) -> bool {
        drop(self.talk(true));
        self.clients.retain(|client| !client.unsent.is_empty());
        !self.clients.is_empty()
    }
}

impl Client {
    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            received: FrameBuffer::default(),
            unsent: VecDeque::new(),
            wants: Wants::default(),
            gone: false,
        }
    }

    fn hear(&mut self, requests: &mut Vec<Request>) {
        let mut chunk = [0; 64 * 1024];
        match recv(&self.socket, &mut chunk[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => self.gone = true,
            Ok((_, len)) => self.received.extend(&chunk[..len]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
        loop {
            match self.received.next_client() {
                Ok(Some(ClientFrame::Hello { stdout, stderr, .. })) => {
                    self.wants = Wants { stdout, stderr };
                    self.unsent.extend(KeeperFrame::Welcome.encode());
                }
                Ok(Some(ClientFrame::Stdin(bytes))) => requests.push(Request::Stdin(bytes)),
                Ok(Some(ClientFrame::StdinClosed)) => requests.push(Request::StdinClosed),
                Ok(Some(ClientFrame::Resize { rows, cols })) => requests.push(Request::Resize { rows, cols }),
                Ok(None) => return,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
    }

    fn send(&mut self) {
        while !self.unsent.is_empty() {
            let (front, _) = self.unsent.as_slices();
            match send(&self.socket, front, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(len) => drop(self.unsent.drain(..len)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.gone = true;
                    self.unsent.clear();
                }
            }
        }
    }
}
