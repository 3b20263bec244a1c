//! From a definition to a running workload.

use super::clients::Clients;
use super::holder::{Held, Holder};
use super::outputs::{Output, TRANSIT, make_fifo};
use super::restart::Restarts;
use super::serve::Serving;
use super::stdin::Input;
use crate::attach::listen;
use crate::bundle::{self, BundleError, NetworkFiles, write_network_files};
use crate::dirs::Dirs;
use crate::failure::Failure;
use crate::logs::{LogWriter, Stream};
use crate::process::{open_of, open_pidfd};
use crate::sandbox::{
    Catalog, FindError, Phase, RecordError, Run, Running, Sandbox, Status, UnreadableError,
};
use crate::settings::{LogDriver, NetworkMode};
use crate::workdir;
use gaufre_net::{AttachRequest, Attachment, Net};
use gaufre_runtime::{CreateOptions, CreateRequest, Created, Rootfs, StartError, Stdio, Streams};
use gaufre_store::{RootfsRequest, Store, StoreOptions};
use jiff::Timestamp;
use rustix::fs::{Mode, OFlags, open};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A workload cannot be brought to run.
#[derive(Debug, thiserror::Error)]
pub enum BringUpError {
    /// The store cannot be used.
    #[error("cannot open the store")]
    Store(#[source] Box<gaufre_store::OpenError>),
    /// The root filesystem cannot be assembled.
    #[error("cannot mount the root filesystem")]
    Rootfs(#[source] Box<gaufre_store::MountError>),
    /// The bundle cannot be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The sandbox whose network is to be shared is not there.
    #[error("cannot share the network of another container")]
    Peer(#[from] FindError),
    /// The sandbox whose network is to be shared does not run.
    #[error("cannot share the network of container {0:?}: it is not running")]
    PeerNotRunning(String),
    /// It was asked for, and is not there.
    #[error("the working directory {0:?} does not exist in the container")]
    NoWorkingDirectory(String),
    /// A file, FIFO or socket of the sandbox cannot be made.
    #[error("cannot prepare {what}")]
    Prepare {
        /// What for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The runtime refuses.
    #[error(transparent)]
    Create(Box<gaufre_runtime::CreateError>),
    /// The network cannot be had.
    #[error("cannot connect the container to its network")]
    Network(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The state cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The state of the sandbox whose network is to be shared cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    /// The sandbox's process was killed, by the kernel or somebody, before it could report.
    #[error("its first process was killed before it could execute the command")]
    Killed {
        /// The limit that it may have met, in bytes.
        memory_limit_bytes: Option<u64>,
    },
    /// The workload cannot be executed.
    #[error(transparent)]
    Exec(Box<StartError>),
}

impl Failure for BringUpError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Exec(error) => error.exit_code(),
            Self::Bundle(error) => error.exit_code(),
            Self::NoWorkingDirectory(_) => 126,
            _ => 125,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Exec(error) if error.exit_code() == 127 => {
                Some("Is the command in the image, and is its name spelled right? Options of gaufre go before the image's name.".to_owned())
            }
            Self::Store(error) => Some(error.hint().to_owned()),
            Self::Rootfs(error) => error.hint().map(ToOwned::to_owned),
            Self::Killed { memory_limit_bytes: Some(limit) } => {
                let kib = limit >> 10;
                Some(format!("Its memory limit of {kib} KiB may be too little to start in: give more with --memory."))
            }
            Self::Killed { memory_limit_bytes: None } => {
                Some("If nobody killed it, the machine is short of memory: the kernel's log (dmesg) tells.".to_owned())
            }
            Self::Peer(error) => error.hint(),
            Self::Unreadable(error) => error.hint(),
            Self::PeerNotRunning(name) => Some(format!("Start it first: gaufre start {name}")),
            _ => None,
        }
    }
}

/// Makes everything and starts the workload. What was made before a failure is taken down by the caller. `netns` is a
/// network namespace that nobody uses yet.
pub(super) fn bring_up(
    dirs: &Dirs,
    sandbox: &Sandbox,
    restarts: &Restarts,
    clients: &mut Clients,
    (listener, netns): (&mut Option<OwnedFd>, Option<OwnedFd>),
) -> Result<Serving, BringUpError> {
    let definition = &sandbox.definition;
    let settings = &definition.settings;
    sandbox.set_phase(Phase::Starting, restarts.count())?;

    let store = Store::open(StoreOptions { root: dirs.root.clone(), run: dirs.run.clone() })
        .map_err(|error| BringUpError::Store(Box::new(error)))?;
    let rootfs = store
        .mount_rootfs(&RootfsRequest {
            layers: &definition.image.layers,
            sandbox_dir: Some(sandbox.directory()),
            volatile: settings.remove_on_exit,
        })
        .map_err(|error| BringUpError::Rootfs(Box::new(error)))?;
    let netns = network_namespace(dirs, &settings.network, netns)?;
    let network = connect(dirs, sandbox, netns.as_ref().map(AsFd::as_fd))?;
    prepare("the files of the network", || write_network_files(sandbox, &network.files))?;
    let spec = bundle::make(&store, sandbox, rootfs.as_fd(), netns.as_ref().map(AsFd::as_fd))?;
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    if definition.process.cwd_asked && workdir::is_missing(rootfs.as_fd(), &definition.process.cwd, mounts) {
        return Err(BringUpError::NoWorkingDirectory(definition.process.cwd.clone()));
    }

    let log = match settings.log.driver {
        LogDriver::None => None,
        LogDriver::K8sFile => {
            Some(prepare("the log", || LogWriter::open(&sandbox.log_path(), &settings.log))?)
        }
    };
    if listener.is_none() {
        *listener = Some(prepare("the socket", || listen_nonblocking(sandbox))?);
    }
    let owner = spec.process().as_ref().map_or(0, |process| process.user().uid());
    let pipes = if settings.terminal {
        None
    } else {
        Some(prepare("the output's FIFOs", || Pipes::make(sandbox, owner))?)
    };

    let mut holder = None;
    let request = CreateRequest {
        id: definition.id.as_str(),
        spec: &spec,
        bundle: &sandbox.bundle(),
        rootfs: Rootfs::Mount(rootfs),
        stdio: pipes.as_ref().map_or(Stdio::Terminal, Pipes::stdio),
        preserve_fds: &[],
        start_socket: None,
        options: CreateOptions::default(),
    };
    let mut created = gaufre_runtime::create_meanwhile(request, |pidfd| {
        let held = pipes.as_ref().map(|pipes| Held::of(pidfd, &pipes.outputs, &pipes.input, &network.ports));
        holder = held.map(|held| Holder::start(&held));
    })
    .map_err(|error| match error {
        gaufre_runtime::CreateError::Died => killed(sandbox),
        error => BringUpError::Create(Box::new(error)),
    })?;

    let started_at = Timestamp::now();
    let running = Running {
        pid: created.pid().as_raw_nonzero().get(),
        start_ticks: crate::process::start_ticks(created.pid().as_raw_nonzero().get()).unwrap_or(0),
        started_at: Some(started_at),
        cgroup: created.cgroup().clone(),
        attachment: network.attachment,
        holder: None,
        former_holder: None,
    };

    let pidfd = prepare("the pidfd", || created.pidfd().try_clone_to_owned())?;
    let (outputs, input) = match pipes {
        Some(pipes) => (pipes.outputs, pipes.input),
        None => prepare("the terminal", || terminal_ends(sandbox, &mut created))?,
    };
    let input_ended = input.held().is_none();
    let mut serving =
        Serving { running, pidfd, outputs, input, log, holder: None, ports: network.ports, input_ended };
    prepare("the holder", || match holder {
        Some(holder) => serving.rely_on(holder?, sandbox, restarts.count()),
        // Of a terminal there is nothing to hold before there is the sandbox.
        None => serving.hold(sandbox, restarts.count()),
    })?;
    // The first client's hello is heard before the first byte is written.
    drop(clients.talk(true));
    if let Err(error) = created.start() {
        if let Some(holder) = serving.holder.take() {
            holder.end();
        }
        return Err(match error {
            // It waited for this word and is gone.
            StartError::NotWaiting { .. } => killed(sandbox),
            error => BringUpError::Exec(Box::new(error)),
        });
    }
    // After the start: to a keeper that takes over, a run without an end on record is one that has begun.
    let run = Run { started_at, restarts: restarts.count(), exit: None };
    if let Err(error) = sandbox.set_run(&run) {
        tracing::warn!(error = &error as &dyn std::error::Error, "the start could not be recorded");
    }
    Ok(serving)
}

fn killed(sandbox: &Sandbox) -> BringUpError {
    BringUpError::Killed { memory_limit_bytes: sandbox.definition.settings.resources.memory_bytes }
}

fn prepare<T>(what: &'static str, make: impl FnOnce() -> io::Result<T>) -> Result<T, BringUpError> {
    make().map_err(|source| BringUpError::Prepare { what, source })
}

pub(super) fn listen_nonblocking(sandbox: &Sandbox) -> io::Result<OwnedFd> {
    let listener = listen(&sandbox.socket_path())?;
    rustix::io::ioctl_fionbio(&listener, true)?;
    Ok(listener)
}

/// The streams of a sandbox without a terminal.
struct Pipes {
    /// What the workload gets: standard input, output and error.
    theirs: [OwnedFd; 3],
    outputs: Vec<Output>,
    input: Input,
}

impl Pipes {
    fn make(sandbox: &Sandbox, owner: u32) -> io::Result<Self> {
        let fifo = |name| make_fifo(&sandbox.run_directory().join(name), owner);
        let (stdin, input) = if sandbox.definition.settings.stdin_open {
            let (theirs, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&ours, true)?;
            (theirs, Some(ours))
        } else {
            (open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, None)
        };
        let ((out, stdout), (err, stderr)) = (fifo("stdout")?, fifo("stderr")?);
        Ok(Self {
            theirs: [stdin, stdout, stderr],
            outputs: vec![Output::fifo(out, Stream::Stdout)?, Output::fifo(err, Stream::Stderr)?],
            input: Input::new(input, false),
        })
    }

    fn stdio(&self) -> Stdio<'_> {
        let [stdin, stdout, stderr] = &self.theirs;
        Stdio::Streams(Streams { stdin: stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd() })
    }
}

fn terminal_ends(sandbox: &Sandbox, created: &mut Created) -> io::Result<(Vec<Output>, Input)> {
    let master = created.console_master().ok_or_else(|| io::Error::other("the runtime gave no terminal"))?;
    let input = master.try_clone()?;
    // Nothing but us writes into it.
    let (transit, _) = make_fifo(&sandbox.run_directory().join(TRANSIT), 0)?;
    Ok((vec![Output::terminal(master, transit)?], Input::new(Some(input), true)))
}

/// A sandbox's network, what its files are to say of it, and the sockets that keep its ports.
#[derive(Default)]
struct Connected {
    attachment: Option<Attachment>,
    files: NetworkFiles,
    ports: Vec<OwnedFd>,
}

fn connect(dirs: &Dirs, sandbox: &Sandbox, netns: Option<BorrowedFd<'_>>) -> Result<Connected, BringUpError> {
    let settings = &sandbox.definition.settings;
    let (NetworkMode::Bridge, Some(netns)) = (&settings.network, netns) else {
        return Ok(Connected::default());
    };
    let request = AttachRequest { id: sandbox.id().as_str(), netns, ports: &settings.ports };
    let attached = Net::open(&dirs.run).map_err(refuse)?.attach(&request).map_err(refuse)?;
    let files = NetworkFiles {
        ip: Some(IpAddr::V4(attached.attachment.ip)),
        gateway: Some(IpAddr::V4(attached.attachment.gateway)),
    };
    Ok(Connected { attachment: Some(attached.attachment), files, ports: attached.reservations })
}

fn refuse(error: impl std::error::Error + Send + Sync + 'static) -> BringUpError {
    BringUpError::Network(error.into())
}

/// The network namespace that the sandbox is to be in, if it is not the host's: its own, for which `unused` will do, or
/// that of the sandbox to share one with.
fn network_namespace(
    dirs: &Dirs,
    network: &NetworkMode,
    unused: Option<OwnedFd>,
) -> Result<Option<OwnedFd>, BringUpError> {
    let name = match network {
        NetworkMode::Host => return Ok(None),
        NetworkMode::None | NetworkMode::Bridge => {
            return unused.map_or_else(|| gaufre_net::new_netns().map_err(refuse), Ok).map(Some);
        }
        NetworkMode::Container(name) => name,
    };
    if let Status::Running(running) = Catalog::new(dirs).find(name)?.status()?
        && let Some(pidfd) = open_pidfd(running.pid, running.start_ticks)
        && let Some(netns) =
            prepare("the shared network", || open_of(pidfd.as_fd(), running.pid, "ns/net", OFlags::RDONLY))?
    {
        return Ok(Some(netns));
    }
    Err(BringUpError::PeerNotRunning(name.clone()))
}
