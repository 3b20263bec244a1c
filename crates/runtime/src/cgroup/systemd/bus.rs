//! A connection to systemd: its own socket where there is one that we may use, else the message bus. Blocking, and
//! without threads, because clone3 comes after it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::SystemdError;
use super::wire::{Call, FIXED_BYTES, Message, Reader, Writer, bytes_left, parse};

/// How long systemd may take to answer, or to end a job.
const PATIENCE: Duration = Duration::from_secs(30);

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const REPLY: u8 = 2;
const ERROR: u8 = 3;

/// A connection to a service manager.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Signals that came before the reply that was waited for.
    jobs_done: Vec<(String, String)>,
    deadline: Instant,
}

impl Bus {
    /// Connects to the manager of the system, or of the calling user.
    pub(super) fn connect(user: bool) -> Result<Self, SystemdError> {
        let mut first = None;
        for (path, is_broker) in sockets(user) {
            match UnixStream::connect(&path) {
                Ok(stream) => return Self::begin(stream, is_broker),
                Err(source) => drop(first.get_or_insert(SystemdError::Connect { path, source })),
            }
        }
        Err(first.unwrap_or(SystemdError::NoUserManager))
    }

    fn begin(stream: UnixStream, is_broker: bool) -> Result<Self, SystemdError> {
        stream.set_write_timeout(Some(PATIENCE)).map_err(SystemdError::Talk)?;
        let deadline = Instant::now() + PATIENCE;
        let mut bus = Self { stream, serial: 0, jobs_done: Vec::new(), deadline };
        bus.authenticate()?;
        if is_broker {
            bus.call_broker("Hello", "", Vec::new())?;
            let rule = format!("type='signal',interface='{MANAGER}',member='JobRemoved'");
            bus.call_broker("AddMatch", "s", Writer::default().text(&rule).finish())?;
            // Without it the manager sends no signals over the broker.
            bus.call("Subscribe", "", Vec::new())?;
        }
        Ok(bus)
    }

    /// Says nothing about who we are: the other side sees the credentials of the socket, whatever the user namespace.
    fn authenticate(&mut self) -> Result<(), SystemdError> {
        self.stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").map_err(SystemdError::Talk)?;
        let mut answer = Vec::new();
        // Nothing follows the two lines before we call.
        while answer.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let mut bytes = [0; 256];
            let count = self.read_some(&mut bytes)?;
            answer.extend_from_slice(bytes.get(..count).unwrap_or_default());
            if answer.len() > 1024 || answer.starts_with(b"REJECTED") || answer.starts_with(b"ERROR") {
                return Err(SystemdError::Rejected);
            }
        }
        let second = answer.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
        if second.starts_with(b"OK") { Ok(()) } else { Err(SystemdError::Rejected) }
    }

    fn call_broker(&mut self, member: &str, signature: &str, body: Vec<u8>) -> Result<Vec<u8>, SystemdError> {
        let (destination, interface) = ("org.freedesktop.DBus", "org.freedesktop.DBus");
        self.send(&Call { destination, path: "/org/freedesktop/DBus", interface, member, signature, body })
    }

    /// Calls a method of the manager and gives the body of its reply.
    pub(super) fn call(
        &mut self,
        member: &str,
        signature: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, SystemdError> {
        let (destination, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
        self.send(&Call { destination, path, interface: MANAGER, member, signature, body })
    }

    /// A property of the manager that is a string.
    pub(super) fn manager_text(&mut self, property: &str) -> Result<String, SystemdError> {
        let (destination, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
        let body = Writer::default().text(MANAGER).text(property).finish();
        let interface = "org.freedesktop.DBus.Properties";
        let body = self.send(&Call { destination, path, interface, member: "Get", signature: "ss", body })?;
        let mut reader = Reader::new(&body);
        match reader.signature() {
            Some("s") => reader.text().map(str::to_owned).ok_or(SystemdError::Garbled),
            _ => Err(SystemdError::Garbled),
        }
    }

    fn send(&mut self, call: &Call<'_>) -> Result<Vec<u8>, SystemdError> {
        self.serial += 1;
        let serial = self.serial;
        self.stream.write_all(&call.message(serial)).map_err(SystemdError::Talk)?;
        loop {
            let message = self.receive()?;
            match (message.kind, message.reply_to) {
                (REPLY, Some(to)) if to == serial => return Ok(message.body),
                (ERROR, Some(to)) if to == serial => {
                    return Err(SystemdError::Refused {
                        call: call.member.to_owned(),
                        name: message.error.unwrap_or_default(),
                        reason: Reader::new(&message.body).text().unwrap_or_default().to_owned(),
                    });
                }
                _ => self.note(&message),
            }
        }
    }

    /// Keeps the word that a job is done: number, job, unit, result.
    fn note(&mut self, message: &Message) {
        if message.member.as_deref() == Some("JobRemoved") {
            let mut reader = Reader::new(&message.body);
            let done = reader.u32().and_then(|_| Some((reader.text()?, reader.text()?, reader.text()?)));
            self.jobs_done.extend(done.map(|(job, _, result)| (job.to_owned(), result.to_owned())));
        }
    }

    /// Waits until a job is done and gives its result: `done`, `failed`, `timeout` and so on.
    pub(super) fn wait_for_job(&mut self, job: &str) -> Result<String, SystemdError> {
        loop {
            if let Some((_, result)) = self.jobs_done.iter().find(|(done, _)| done == job) {
                return Ok(result.clone());
            }
            let message = self.receive()?;
            self.note(&message);
        }
    }

    fn receive(&mut self) -> Result<Message, SystemdError> {
        let mut fixed = [0; FIXED_BYTES];
        self.read(&mut fixed)?;
        let mut rest = vec![0; bytes_left(&fixed).ok_or(SystemdError::Garbled)?];
        self.read(&mut rest)?;
        parse(&fixed, &rest).ok_or(SystemdError::Garbled)
    }

    fn read(&mut self, mut bytes: &mut [u8]) -> Result<(), SystemdError> {
        while !bytes.is_empty() {
            let count = self.read_some(bytes)?;
            bytes = bytes.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    fn read_some(&mut self, bytes: &mut [u8]) -> Result<usize, SystemdError> {
        use std::io::ErrorKind::{Interrupted, TimedOut, UnexpectedEof, WouldBlock};
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(SystemdError::Timeout);
            }
            self.stream.set_read_timeout(Some(left)).map_err(SystemdError::Talk)?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(SystemdError::Talk(UnexpectedEof.into())),
                Ok(count) => return Ok(count),
                Err(error) if matches!(error.kind(), Interrupted | WouldBlock | TimedOut) => {}
                Err(error) => return Err(SystemdError::Talk(error)),
            }
        }
    }
}

/// Where the manager listens, and whether a message bus stands between. Its own socket is for root (or the user's own
/// processes) and needs no bus; that it may change with systemd's version does not matter to who speaks D-Bus on it.
fn sockets(user: bool) -> Vec<(PathBuf, bool)> {
    if !user {
        let bus = address("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or("/run/dbus/system_bus_socket".into());
        return vec![("/run/systemd/private".into(), false), (bus, true)];
    }
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let own = runtime_dir.as_deref().map(|dir| (dir.join("systemd/private"), false));
    let bus = address("DBUS_SESSION_BUS_ADDRESS").or_else(|| Some(runtime_dir.as_deref()?.join("bus")));
    own.into_iter().chain(bus.map(|bus| (bus, true))).collect()
}

/// The path in an address of the form `unix:path=/run/user/1000/bus,guid=...`.
fn address(variable: &str) -> Option<PathBuf> {
    let address = std::env::var(variable).ok()?;
    let path = address.split(';').find_map(|one| one.strip_prefix("unix:path="))?;
    Some(Path::new(path.split(',').next()?).to_owned())
}
