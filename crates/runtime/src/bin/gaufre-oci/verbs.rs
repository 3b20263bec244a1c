//! The verbs.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use gaufre_runtime::state::{Process as StateProcess, State, StateDir, StateError, Status};
use gaufre_runtime::{
    CreateRequest, Created, ExecError, ExecRequest, Rootfs, StartError, Stdio, cgroup_of, create, exec, kill,
    run_sealed, start_at, start_socket, wait,
};
use oci_spec::runtime::{Process, Spec};
use rustix::process::{Pid, Signal};

use crate::args::{Args, Known};
use crate::relay;

/// A failure and the exit code that goes with it.
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) error: Box<dyn Error>,
}

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let start = error.downcast_ref::<StartError>().or_else(|| match error.downcast_ref::<ExecError>() {
            Some(ExecError::Start(start)) => Some(start),
            _ => None,
        });
        let code = start.map_or(1, StartError::exit_code);
        Self { code, error }
    }
}

type Outcome = Result<u8, Failure>;

const CREATE: &[Known] = &[
    ("bundle", "b", true),
    ("pid-file", "", true),
    ("preserve-fds", "", true),
    ("console-socket", "", true),
];
const EXEC: &[Known] = &[
    ("process", "p", true),
    ("pid-file", "", true),
    ("tty", "t", false),
    ("detach", "d", false),
    ("cwd", "", true),
    ("env", "e", true),
    ("user", "u", true),
    ("preserve-fds", "", true),
];

/// Runs the command line.
pub(crate) fn run(words: &[String]) -> Outcome {
    let global = Args::read(words, &[("root", "", true), ("version", "v", false)], 1)?;
    if global.has("version") {
        println!("gaufre-oci version {}\nspec: 1.2.0", env!("CARGO_PKG_VERSION"));
        return Ok(0);
    }
    let root = PathBuf::from(global.value("root").unwrap_or("/run/gaufre-oci"));
    let verb = global.operand(0, "a verb (run, create, start, state, kill, delete, exec, spec)")?;
    let words = global.rest(1);
    match verb {
        "run" => run_verb(&root, &Args::read(words, CREATE, usize::MAX)?),
        "create" => create_verb(&root, &Args::read(words, CREATE, usize::MAX)?),
        "start" => start_verb(&root, &Args::read(words, &[], usize::MAX)?),
        "state" => state_verb(&root, &Args::read(words, &[], usize::MAX)?),
        "kill" => kill_verb(&root, &Args::read(words, &[], usize::MAX)?),
        "delete" => delete_verb(&root, &Args::read(words, &[("force", "f", false)], usize::MAX)?),
        "exec" => exec_verb(&root, &Args::read(words, EXEC, 2)?),
        "spec" => spec_verb(&Args::read(words, &[("bundle", "b", true)], usize::MAX)?),
        other => Err(format!("unknown verb {other}").into()),
    }
}

/// A sandbox being made: its state is noted down before anything of it exists.
struct Making {
    state_dir: StateDir,
    state: State,
    spec: Spec,
    preserved: Vec<OwnedFd>,
}

impl Making {
    fn begin(root: &Path, args: &Args) -> Result<Self, Failure> {
        run_sealed()?;
        let id = args.operand(0, "the container's id")?;
        let state_dir = StateDir::at(root, id)?;
        let bundle = fs::canonicalize(args.value("bundle").unwrap_or("."))?;
        let path = bundle.join("config.json");
        let config = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let spec: Spec =
            serde_json::from_slice(&config).map_err(|error| format!("{}: {error}", path.display()))?;
        let cgroup = cgroup_of(id, &spec, Default::default())?;
        let preserved = preserved(args)?;
        let state = State {
            id: id.to_owned(),
            rootfs: bundle.join(spec.root().as_ref().map_or(Path::new(""), |root| root.path())),
            bundle,
            created: gaufre_runtime::state::now(),
            annotations: spec.annotations().clone().unwrap_or_default().into_iter().collect(),
            cgroup,
            maker: Some(StateProcess::of(rustix::process::getpid())?),
            process: None,
        };
        state_dir.claim(&state, &config)?;
        Ok(Self { state_dir, state, spec, preserved })
    }

    /// Makes the sandbox and notes down its process. On failure nothing of it is left.
    fn create(&mut self, socket: Option<BorrowedFd<'_>>, args: &Args) -> Result<Created, Failure> {
        let terminal = self.spec.process().as_ref().and_then(Process::terminal) == Some(true);
        let fds: Vec<BorrowedFd<'_>> = self.preserved.iter().map(AsFd::as_fd).collect();
        let created = create(CreateRequest {
            id: &self.state.id,
            spec: &self.spec,
            bundle: &self.state.bundle,
            rootfs: Rootfs::Path,
            stdio: if terminal { Stdio::Terminal } else { Stdio::inherit() },
            preserve_fds: &fds,
            start_socket: socket,
            options: Default::default(),
        });
        let created = match created {
            Ok(created) => created,
            Err(error) => {
                // The first failure is the one to report.
                let _ = self.state_dir.remove();
                return Err(error.into());
            }
        };
        self.state.process = Some(StateProcess::of(created.pid())?);
        self.state_dir.store(&self.state)?;
        write_pid_file(args, created.pid())?;
        Ok(created)
    }
}

fn run_verb(root: &Path, args: &Args) -> Outcome {
    let mut making = Making::begin(root, args)?;
    let outcome = making.create(None, args).and_then(|mut created| {
        let master = created.console_master();
        let running = created.start()?;
        Ok(match master {
            Some(master) => relay::run(master.as_fd(), running.pidfd.as_fd())?,
            None => wait(running.pidfd.as_fd())?,
        }
        .code())
    });
    match making.state_dir.delete(true) {
        Err(StateError::Unknown { .. }) if outcome.is_err() => {}
        deleted => deleted?,
    }
    outcome
}

fn create_verb(root: &Path, args: &Args) -> Outcome {
    let mut making = Making::begin(root, args)?;
    let socket = start_socket(&making.state_dir.start_socket())?;
    let mut created = making.create(Some(socket.as_fd()), args)?;
    if let Some(master) = created.console_master() {
        let path = args.value("console-socket").ok_or("a terminal needs --console-socket");
        if let Err(error) = path.map_err(Failure::from).and_then(|path| send_console(path, &master)) {
            created.abandon()?;
            making.state_dir.remove()?;
            return Err(error);
        }
    }
    created.leave()?;
    Ok(0)
}

/// Sends the console's master to whoever listens at `path`: SCM_RIGHTS on a stream socket, as runc does.
fn send_console(path: &str, master: &OwnedFd) -> Result<(), Failure> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let stream = std::os::unix::net::UnixStream::connect(path)?;
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [master.as_fd()];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(&stream, &[std::io::IoSlice::new(b"/dev/ptmx")], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn start_verb(root: &Path, args: &Args) -> Outcome {
    let state_dir = StateDir::at(root, args.operand(0, "the container's id")?)?;
    let state = state_dir.load()?;
    let status = state_dir.status(&state);
    if status != Status::Created {
        return Err(format!("the sandbox {} cannot be started: it is {status:?}", state.id).into());
    }
    let started = start_at(&state_dir.start_socket());
    // Started or failed: it does not wait any longer.
    let _ = fs::remove_file(state_dir.start_socket());
    started?;
    Ok(0)
}

fn state_verb(root: &Path, args: &Args) -> Outcome {
    let state_dir = StateDir::at(root, args.operand(0, "the container's id")?)?;
    let state = state_dir.load()?;
    let status = state_dir.status(&state);
    let pid = state.process.filter(|_| status != Status::Stopped).map_or(0, |process| process.pid);
    let json = serde_json::json!({
        "ociVersion": "1.2.0",
        "id": state.id,
        "status": status,
        "pid": pid,
        "bundle": state.bundle,
        "annotations": state_dir.config()?.annotations().clone().unwrap_or_default(),
    });
    println!("{}", serde_json::to_string_pretty(&json)?);
    Ok(0)
}

fn kill_verb(root: &Path, args: &Args) -> Outcome {
    let state_dir = StateDir::at(root, args.operand(0, "the container's id")?)?;
    let signal = signal(args.operand(1, "the signal").unwrap_or("TERM"))?;
    let state = state_dir.load()?;
    let pidfd = state.process.and_then(StateProcess::open);
    let pidfd = pidfd.ok_or_else(|| format!("the sandbox {} is not running", state.id))?;
    kill(pidfd.as_fd(), signal)?;
    Ok(0)
}

fn delete_verb(root: &Path, args: &Args) -> Outcome {
    let force = args.has("force");
    match StateDir::at(root, args.operand(0, "the container's id")?)?.delete(force) {
        Err(StateError::Unknown { .. }) if force => Ok(0),
        deleted => Ok(deleted.map(|()| 0)?),
    }
}

fn exec_verb(root: &Path, args: &Args) -> Outcome {
    run_sealed()?;
    let state_dir = StateDir::at(root, args.operand(0, "the container's id")?)?;
    let state = state_dir.load()?;
    let target = state.process.filter(|_| state_dir.status(&state) == Status::Running);
    let target = target.and_then(|process| Some((Pid::from_raw(process.pid)?, process.open()?)));
    let (pid, pidfd) = target.ok_or_else(|| format!("the sandbox {} is not running", state.id))?;
    let spec = state_dir.config()?;
    let process = exec_process(&spec, args)?;
    let linux = spec.linux().as_ref().ok_or("the configuration has no linux")?;
    let preserved = preserved(args)?;
    let fds: Vec<BorrowedFd<'_>> = preserved.iter().map(AsFd::as_fd).collect();
    let executed = exec(ExecRequest {
        pid,
        pidfd: pidfd.as_fd(),
        process: &process,
        seccomp: linux.seccomp().as_ref(),
        personality: linux.personality().as_ref(),
        cgroup: &state.cgroup,
        stdio: if process.terminal() == Some(true) { Stdio::Terminal } else { Stdio::inherit() },
        preserve_fds: &fds,
    })?;
    write_pid_file(args, executed.pid)?;
    if args.has("detach") {
        return Ok(0);
    }
    let exit = match executed.console_master {
        Some(master) => relay::run(master.as_fd(), executed.pidfd.as_fd())?,
        None => wait(executed.pidfd.as_fd())?,
    };
    Ok(exit.code())
}

/// The process to execute: a file's, or the container's own with other words.
fn exec_process(spec: &Spec, args: &Args) -> Result<Process, Failure> {
    if let Some(path) = args.value("process") {
        return Ok(serde_json::from_slice(&fs::read(path)?)?);
    }
    let mut process = spec.process().clone().ok_or("the configuration has no process")?;
    args.operand(1, "the command")?;
    process.set_args(Some(args.rest(1).to_vec()));
    process.set_terminal(Some(args.has("tty")));
    if let Some(cwd) = args.value("cwd") {
        process.set_cwd(cwd.into());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend_from_slice(args.all("env"));
    process.set_env(Some(env));
    if let Some(user) = args.value("user") {
        let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
        process.user_mut().set_uid(uid.parse()?).set_gid(gid.parse()?);
    }
    Ok(process)
}

fn spec_verb(args: &Args) -> Outcome {
    let path = Path::new(args.value("bundle").unwrap_or(".")).join("config.json");
    let text = serde_json::to_string_pretty(&gaufre_runtime::spec::default_spec())?;
    let mut file = fs::File::create_new(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(0)
}

/// The descriptors 3 to 2 + N that our caller gave us.
fn preserved(args: &Args) -> Result<Vec<OwnedFd>, Failure> {
    let count: i32 = args.value("preserve-fds").unwrap_or("0").parse()?;
    (3..3 + count).map(|number| Ok(gaufre_runtime::inherited_fd(number)?)).collect()
}

fn write_pid_file(args: &Args, pid: Pid) -> Result<(), Failure> {
    let Some(path) = args.value("pid-file") else { return Ok(()) };
    let new = format!("{path}.new");
    fs::write(&new, pid.as_raw_nonzero().to_string())?;
    Ok(fs::rename(&new, path)?)
}

fn signal(word: &str) -> Result<Signal, Failure> {
    let name = word.to_ascii_uppercase();
    let names = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("KILL", Signal::KILL),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("TERM", Signal::TERM),
        ("STOP", Signal::STOP),
        ("CONT", Signal::CONT),
        ("WINCH", Signal::WINCH),
    ];
    let by_name =
        names.iter().find(|(known, _)| name.trim_start_matches("SIG") == *known).map(|(_, signal)| *signal);
    let by_number = || name.parse().ok().and_then(Signal::from_named_raw);
    by_name.or_else(by_number).ok_or_else(|| format!("unknown signal {word}").into())
}
