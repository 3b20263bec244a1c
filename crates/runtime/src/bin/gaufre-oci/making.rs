//! A container being made: its state is noted down before anything of it exists, and again when it is complete.

use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use gaufre_runtime::cgroup::CgroupManager;
use gaufre_runtime::state::{self, State, StateDir};
use gaufre_runtime::{CreateOptions, CreateRequest, Created, Rootfs, cgroup_of, create, run_sealed};
use oci_spec::runtime::{Process, Spec};
use rustix::process::Pid;

use crate::args::{Args, Known, flag, value};
use crate::command::Failure;
use crate::console::{CONSOLE_SOCKET, Console};
use crate::fds::{PRESERVE_FDS, Preserved};
use crate::global::Global;

pub(crate) const PID_FILE: Known = value("pid-file", "", "PATH", "write the process's id there");

/// What `create` and `run` have in common.
pub(crate) const BUNDLE: Known = value("bundle", "b", "DIR", "the bundle's directory (default .)");
pub(crate) const NO_PIVOT: Known =
    flag("no-pivot", "", "enter the root by chroot: for a host that runs from its initial ramdisk");
pub(crate) const NO_NEW_KEYRING: Known =
    flag("no-new-keyring", "", "leave the process in our own session keyring");
pub(crate) const OPTIONS: [Known; 6] =
    [BUNDLE, CONSOLE_SOCKET, PID_FILE, NO_PIVOT, NO_NEW_KEYRING, PRESERVE_FDS];

/// A container being made.
#[derive(Debug)]
pub(crate) struct Making {
    pub(crate) state_dir: StateDir,
    state: State,
    spec: Spec,
    preserved: Preserved,
    console: Console,
    options: CreateOptions,
    pid_file: Option<PathBuf>,
}

impl Making {
    /// Reads the bundle and claims the name. Nothing else exists yet.
    pub(crate) fn begin(global: &Global, args: &Args, detached: bool) -> Result<Self, Failure> {
        args.no_more(1)?;
        // Done already, as a rule, where the program begins.
        run_sealed()?;
        let preserved = Preserved::take(args)?;
        let state_dir = global.state_dir(args)?;
        let bundle = args.value("bundle").unwrap_or(".");
        let bundle = fs::canonicalize(bundle).map_err(|error| format!("the bundle {bundle}: {error}"))?;
        let (mut spec, config) = gaufre_runtime::spec::read(&bundle.join("config.json"))?;
        let terminal = spec.process().as_ref().and_then(Process::terminal) == Some(true);
        let console = Console::of(args, terminal, detached)?;
        if let Some(process) = spec.process_mut() {
            preserved.announce(process);
        }
        let state = first_state(state_dir.id(), &bundle, &spec, global.cgroup_manager)?;
        state_dir.claim(&state, &config)?;
        let options = CreateOptions {
            cgroup_manager: global.cgroup_manager,
            no_pivot: args.has("no-pivot"),
            no_new_keyring: args.has("no-new-keyring"),
        };
        let pid_file = args.value("pid-file").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self { state_dir, state, spec, preserved, console, options, pid_file })
    }

    /// Makes the container and notes down its process, on whom the start waits where no `socket` is given; gives the
    /// terminal's master where it is for us. On failure nothing of it is left.
    pub(crate) fn create(
        self,
        socket: Option<BorrowedFd<'_>>,
    ) -> Result<(StateDir, Created, Option<OwnedFd>), Failure> {
        let Self { state_dir, state, spec, preserved, console, options, pid_file } = self;
        let created = create(CreateRequest {
            id: &state.id,
            spec: &spec,
            bundle: &state.bundle,
            rootfs: Rootfs::PathThrough(state_dir.root_place()),
            stdio: console.stdio(),
            preserve_fds: &preserved.borrowed(),
            start_socket: socket,
            options,
        });
        let mut created = match created {
            Ok(created) => created,
            Err(error) => {
                // The first failure is the one to report.
                let _ = state_dir.remove();
                return Err(error.into());
            }
        };
        let finish = || {
            let process = Some(state::Process::of(created.pid())?);
            state_dir.store(&State { maker: None, process, ..state })?;
            let master = console.deliver(created.console_master())?;
            write_pid_file(pid_file.as_deref(), created.pid())?;
            Ok(master)
        };
        match finish() {
            Ok(master) => Ok((state_dir, created, master)),
            Err(failure) => {
                // As above.
                let _ = created.abandon();
                let _ = state_dir.remove();
                Err(failure)
            }
        }
    }
}

fn first_state(id: &str, bundle: &Path, spec: &Spec, manager: CgroupManager) -> Result<State, Failure> {
    Ok(State {
        id: id.to_owned(),
        bundle: bundle.to_owned(),
        rootfs: bundle.join(spec.root().as_ref().map_or(Path::new(""), |root| root.path())),
        created: state::now(),
        annotations: spec.annotations().clone().unwrap_or_default().into_iter().collect(),
        cgroup: cgroup_of(id, spec, manager)?,
        maker: Some(state::Process::of(rustix::process::getpid())?),
        process: None,
    })
}

/// Writes the process's id, whole or not at all.
pub(crate) fn write_pid_file(path: Option<&Path>, pid: Pid) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let written = fs::write(&new, pid.as_raw_nonzero().to_string()).and_then(|()| fs::rename(&new, path));
    Ok(written.map_err(|error| format!("the pid file {}: {error}", path.display()))?)
}
