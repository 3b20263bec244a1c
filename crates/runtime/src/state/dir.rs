//! The directory that holds one sandbox's state.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Signal;

use crate::cgroup::Cgroup;
use crate::hooks::Hooks;
use crate::spec::read_bounded;

use super::{Process, State, StateError, Status};

/// The directory that holds one sandbox's state.
#[derive(Clone, Debug)]
pub struct StateDir {
    id: String,
    dir: PathBuf,
}

impl StateDir {
    /// The directory for `id` below `root`, which need not exist.
    ///
    /// # Errors
    /// `id` is not a name.
    pub fn at(root: &Path, id: &str) -> Result<Self, StateError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        if id.is_empty() || id.len() > 200 || id.starts_with('.') || !id.bytes().all(plain) {
            return Err(StateError::Id { id: id.to_owned() });
        }
        Ok(Self { id: id.to_owned(), dir: root.join(id) })
    }

    /// The sandboxes below `root`, by name; none where there is no such directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn all(root: &Path) -> Result<Vec<Self>, StateError> {
        let failed = |source| StateError::File { path: root.to_owned(), source };
        let entries = match fs::read_dir(root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let is_dir = entry.file_type().map_err(failed)?.is_dir();
            // Whatever has another name is not ours.
            all.extend(entry.file_name().to_str().filter(|_| is_dir).and_then(|id| Self::at(root, id).ok()));
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// The sandbox's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Claims the name: makes the directory and writes the first state and the configuration.
    ///
    /// # Errors
    /// The name is taken, or the directory cannot be written; then nothing is left.
    pub fn claim(&self, state: &State, config: &[u8]) -> Result<(), StateError> {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        let made = match builder.create(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let parent = self.dir.parent().unwrap_or(&self.dir);
                let mut parents = fs::DirBuilder::new();
                parents.recursive(true).mode(0o700);
                parents.create(parent).and_then(|()| builder.create(&self.dir))
            }
            made => made,
        };
        match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(StateError::Exists { id: self.id.clone() });
            }
            made => made.map_err(|source| self.failed("", source))?,
        }
        let path = self.dir.join("config.json");
        let written = fs::write(&path, config).map_err(|source| StateError::File { path, source });
        written.and_then(|()| self.store(state)).inspect_err(|_| {
            // The first failure is the one to report.
            let _ = self.remove();
        })
    }

    /// Replaces the state.
    ///
    /// # Errors
    /// It cannot be written; the old one stays.
    pub fn store(&self, state: &State) -> Result<(), StateError> {
        let text = serde_json::to_vec(state).map_err(|error| self.failed("state.json", error.into()))?;
        let new = self.dir.join("state.json.new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, self.dir.join("state.json")))
            .map_err(|source| self.failed("state.json", source))
    }

    /// Reads the state.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn load(&self) -> Result<State, StateError> {
        let text = read_bounded(&self.dir.join("state.json")).map_err(|source| match source.kind() {
            ErrorKind::NotFound => StateError::Unknown { id: self.id.clone() },
            _ => self.failed("state.json", source),
        })?;
        serde_json::from_slice(&text).map_err(|error| self.failed("state.json", error.into()))
    }

    /// The configuration the sandbox was made from.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn config(&self) -> Result<Spec, StateError> {
        let text = read_bounded(&self.dir.join("config.json"))
            .map_err(|source| self.failed("config.json", source))?;
        crate::spec::parse(&text).map_err(|error| self.failed("config.json", io::Error::other(error)))
    }

    /// The user who made the sandbox.
    ///
    /// # Errors
    /// The directory is gone.
    pub fn owner_uid(&self) -> Result<u32, StateError> {
        fs::metadata(&self.dir).map(|metadata| metadata.uid()).map_err(|source| self.failed("", source))
    }

    /// Where the root file system of a sandbox without a mount namespace is mounted: [`crate::Rootfs::PathThrough`].
    pub fn root_place(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Where init waits for its start.
    pub fn start_socket(&self) -> PathBuf {
        self.dir.join("start.sock")
    }

    /// Where the sandbox is in its life.
    pub fn status(&self, state: &State) -> Status {
        match (state.process, state.maker) {
            (None, Some(maker)) if maker.is_alive() => Status::Creating,
            (None, _) => Status::Stopped,
            (Some(process), _) if !process.is_alive() => Status::Stopped,
            (Some(_), _) if self.waits_for_start() => Status::Created,
            // A group that cannot be read has nobody stopped in it.
            (Some(_), _) if state.cgroup.is_frozen().unwrap_or(false) => Status::Paused,
            (Some(_), _) => Status::Running,
        }
    }

    /// Whether init still listens at the start socket. It closes it by executing the workload, so that a runtime
    /// killed in the middle of a start leaves no wrong word. A visitor that says nothing does init no harm.
    fn waits_for_start(&self) -> bool {
        let path = self.start_socket();
        if !path.exists() {
            return false;
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .and_then(|socket| crate::start::connect_to(&socket, &path))
            .map_or_else(|error| error == rustix::io::Errno::AGAIN, |()| true)
    }

    /// Removes the sandbox: with `force` it is killed first, whatever its state, even one whose making was cut off.
    ///
    /// # Errors
    /// It is alive and may not be killed, or something of it cannot be removed; then its state stays.
    pub fn delete(&self, force: bool) -> Result<(), StateError> {
        let state = match self.load() {
            // A runtime was killed between making the directory and writing the state: nothing else exists yet.
            Err(StateError::Unknown { .. }) if force && self.dir.exists() => return self.remove(),
            loaded => loaded?,
        };
        let status = self.status(&state);
        // What waits to be started has not run anything yet: it may go, as with runc and crun.
        if !force && !matches!(status, Status::Stopped | Status::Created) {
            return Err(StateError::Alive { id: self.id.clone(), status });
        }
        if let Some((process, pidfd)) =
            state.process.and_then(|process| process.open().map(|pidfd| (process, pidfd)))
        {
            self.end(process, &pidfd, &state.cgroup)?;
        }
        state.cgroup.destroy()?;
        // A configuration that cannot be read any more has no hooks to run, and must not keep the rest from going.
        if let Ok(Some(hooks)) = self.hooks(&state) {
            hooks.run_poststop();
        }
        self.remove()
    }

    /// The hooks of the configuration; None where it has none, which is found out without reading all of it.
    ///
    /// # Errors
    /// The configuration cannot be read.
    pub fn hooks(&self, state: &State) -> Result<Option<Hooks>, StateError> {
        let text = read_bounded(&self.dir.join("config.json"))
            .map_err(|source| self.failed("config.json", source))?;
        if !text.split(|byte| *byte == b'"').any(|word| word == b"hooks") {
            return Ok(None);
        }
        let spec =
            crate::spec::parse(&text).map_err(|error| self.failed("config.json", io::Error::other(error)))?;
        Ok(spec.hooks().is_some().then(|| Hooks::of(&spec, &state.id, &state.bundle)))
    }

    /// Kills the first process and waits until it has ended, as a zombie at least.
    fn end(&self, process: Process, pidfd: &OwnedFd, cgroup: &Cgroup) -> Result<(), StateError> {
        // It may end in between, which is what is wanted.
        let _ = crate::kill(pidfd.as_fd(), Signal::KILL);
        cgroup.let_frozen_die();
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&patience)) {
            Ok(0) => Err(StateError::Unkillable { id: self.id.clone(), pid: process.pid }),
            _ => Ok(()),
        }
    }

    /// Removes the directory.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> Result<(), StateError> {
        self.remove_root_place()?;
        // The state goes last: as long as it is there, a delete cut off can be repeated.
        for name in ["start.sock", "config.json.new", "config.json", "state.json.new", "state.json"] {
            match fs::remove_file(self.dir.join(name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(self.failed(name, error)),
                _ => {}
            }
        }
        fs::remove_dir(&self.dir).map_err(|source| self.failed("", source))
    }

    /// Lets go of the root file system where it is mounted in our own mount namespace. Nobody else mounts there.
    fn remove_root_place(&self) -> Result<(), StateError> {
        let place = self.root_place();
        loop {
            match rustix::fs::rmdir(&place) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(Errno::BUSY) => {
                    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
                    rustix::mount::unmount(&place, flags)
                        .map_err(|error| self.failed("root", error.into()))?;
                }
                Err(error) => return Err(self.failed("root", error.into())),
            }
        }
    }

    /// The path of one of its files.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn failed(&self, name: &str, source: io::Error) -> StateError {
        StateError::File { path: self.dir.join(name), source }
    }
}
