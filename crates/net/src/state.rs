//! What is remembered under `<run>/net`: one file for the network, one for each attachment, one lock.
//!
//! ```text
//! lock                              flock(2) around every change
//! network.json                      bridge, subnet, the last address given out, what was changed on the machine
//! attachments/10.207.0.2@<id>.json  one sandbox: its name says the address, so that no file is read to find a free one
//! ```
//!
//! Every file appears whole by rename(2). Whoever attaches keeps its attachment's file locked until it is done, so that
//! a collector can tell an attach under way from one that was killed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::attach::Attachment;
use crate::subnet::Subnet;

/// A file under `<run>/net` that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}", .path.display())]
pub struct StateError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The network as it is, or as it was when it last had a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Network {
    /// Which boot this belongs to: /run may outlive the kernel that it speaks of.
    pub(crate) boot: String,
    /// The number in the name of the bridge.
    pub(crate) number: u32,
    pub(crate) subnet: Subnet,
    /// MTU of the interface by which packets leave, where it is not the usual one.
    pub(crate) mtu: Option<u32>,
    /// The last address and veth number given out.
    pub(crate) last_address: Option<Ipv4Addr>,
    pub(crate) last_veth: u32,
    /// `net.ipv4.ip_forward` was off before us, and is to be off again after us.
    pub(crate) restore_ip_forward: bool,
    /// Bridge and table are, or may be, there.
    pub(crate) up: bool,
}

/// What the name of every bridge begins with; its number follows.
pub(crate) const BRIDGES: &str = "gaufre";

impl Network {
    pub(crate) fn bridge(&self) -> String {
        format!("{BRIDGES}{}", self.number)
    }

    /// What the names of all veths of this network begin with.
    pub(crate) fn veth_prefix(&self) -> String {
        format!("gf{}-", self.number)
    }
}

/// The directory `<run>/net`.
#[derive(Debug)]
pub(crate) struct State {
    directory: PathBuf,
}

/// Held while anything is changed; let go when dropped, or when the process dies.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    state: &'a State,
    _lock: File,
}

impl State {
    pub(crate) fn open(run_dir: &Path) -> Result<State, StateError> {
        let directory = run_dir.join("net");
        let attachments = directory.join("attachments");
        if !attachments.is_dir() {
            fs::create_dir_all(&attachments).map_err(wrap("create", &attachments))?;
        }
        Ok(State { directory })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn lock(&self) -> Result<Locked<'_>, StateError> {
        let path = self.directory.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(wrap("open", &path))?;
        loop {
            match flock(&lock, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Locked { state: self, _lock: lock }),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(wrap("lock", &path)(errno.into())),
            }
        }
    }

    /// The network, if one was made since the machine booted.
    pub(crate) fn network(&self) -> Result<Option<Network>, StateError> {
        let network: Option<Network> = read_json(&self.network_path())?;
        let boot = boot_id()?;
        Ok(network.filter(|network| network.boot == boot))
    }

    /// Every attachment, oldest address first. One that cannot be read is passed over: it counts as gone.
    pub(crate) fn attachments(&self) -> Result<Vec<Attachment>, StateError> {
        let mut found = Vec::new();
        for (_, _, path) in self.names()? {
            found.extend(read_json::<Attachment>(&path)?);
        }
        found.sort_by_key(|attachment| attachment.ip);
        Ok(found)
    }

    pub(crate) fn attachment(&self, id: &str) -> Result<Option<Attachment>, StateError> {
        match self.names()?.into_iter().find(|(_, name, _)| name == id) {
            Some((_, _, path)) => read_json(&path),
            None => Ok(None),
        }
    }

    /// Address, sandbox and file of every attachment.
    pub(crate) fn names(&self) -> Result<Vec<(Ipv4Addr, String, PathBuf)>, StateError> {
        let directory = self.directory.join("attachments");
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory).map_err(wrap("list", &directory))? {
            let path = entry.map_err(wrap("list", &directory))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let parts = name.strip_suffix(".json").and_then(|name| name.split_once('@'));
            let Some((address, id)) = parts else { continue };
            if let Ok(address) = address.parse() {
                names.push((address, id.to_owned(), path.clone()));
            }
        }
        Ok(names)
    }

    fn network_path(&self) -> PathBuf {
        self.directory.join("network.json")
    }
}

impl Locked<'_> {
    pub(crate) fn write_network(&self, network: &Network) -> Result<(), StateError> {
        self.write(&self.state.network_path(), network).map(|_| ())
    }

    /// Records an attachment. The file it returns keeps the collector away until it is dropped.
    pub(crate) fn write_attachment(&self, attachment: &Attachment) -> Result<File, StateError> {
        self.write(&self.attachment_path(attachment.ip, &attachment.id), attachment)
    }

    pub(crate) fn remove_attachment(&self, ip: Ipv4Addr, id: &str) -> Result<(), StateError> {
        remove(&self.attachment_path(ip, id))
    }

    /// Forgets every attachment; they are those of an earlier boot.
    pub(crate) fn clear(&self) -> Result<(), StateError> {
        self.state.names()?.iter().try_for_each(|(_, _, path)| remove(path))
    }

    /// Whether the process that attaches this sandbox is still at it.
    pub(crate) fn is_under_way(&self, path: &Path) -> bool {
        File::open(path).is_ok_and(|file| {
            flock(&file, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::AGAIN)
        })
    }

    fn attachment_path(&self, ip: Ipv4Addr, id: &str) -> PathBuf {
        self.state.directory.join("attachments").join(format!("{ip}@{id}.json"))
    }

    /// The temporary name is always the same: only the holder of the lock writes, and one that was killed leaves nothing
    /// that the next does not overwrite.
    fn write(&self, path: &Path, value: &impl Serialize) -> Result<File, StateError> {
        let temporary = self.state.directory.join("new");
        let text = serde_json::to_vec(value).map_err(|error| wrap("write", path)(error.into()))?;
        remove(&temporary)?;
        let mut file = File::create_new(&temporary).map_err(wrap("create", &temporary))?;
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        file.write_all(&text).map_err(wrap("write", &temporary))?;
        fs::rename(&temporary, path).map_err(wrap("replace", path))?;
        Ok(file)
    }
}

/// Which boot of the machine this is (random(4)).
pub(crate) fn boot_id() -> Result<String, StateError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(fs::read_to_string(path).map_err(wrap("read", path))?.trim().to_owned())
}

/// The attachment in this file, if it holds one.
pub(crate) fn read_attachment(path: &Path) -> Result<Option<Attachment>, StateError> {
    read_json(path)
}

/// None if there is no such file, or if what it holds is not what we write (a power cut can do that).
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StateError> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrap("read", path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), StateError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(wrap("remove", path)(error)),
        _ => Ok(()),
    }
}

fn wrap(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_path_buf();
    move |source| StateError { what, path, source }
}
