//! exec: another process in a container that runs.

use std::os::fd::AsFd;
use std::path::Path;

use gaufre_runtime::cgroup::Cgroup;
use gaufre_runtime::signals::SignalQueue;
use gaufre_runtime::state::{Process as StateProcess, State, Status};
use gaufre_runtime::{ExecRequest, prepare_exec, run_sealed};
use rustix::process::Pid;

use super::exec_process;
use crate::args::{Args, Known, flag, value};
use crate::command::{Command, Failure, Outcome};
use crate::console::{CONSOLE_SOCKET, Console};
use crate::fds::{PRESERVE_FDS, Preserved};
use crate::foreground;
use crate::global::Global;
use crate::making::{PID_FILE, write_pid_file};

const OPTIONS: &[Known] = &[
    value("process", "p", "FILE", "the process as in a configuration, in place of the options below"),
    flag("detach", "d", "do not wait for it to end"),
    PID_FILE,
    CONSOLE_SOCKET,
    PRESERVE_FDS,
    flag("tty", "t", "give it a terminal"),
    value("cwd", "", "DIR", "its working directory"),
    value("env", "e", "NAME=VALUE", "one more variable of its environment"),
    value("user", "u", "UID[:GID]", "its user"),
    value("additional-gids", "g", "GID", "one more group of its user"),
    value("cap", "c", "CAP", "one more capability"),
    flag("no-new-privs", "", "let it gain no privileges"),
    value("process-label", "", "LABEL", "its SELinux label"),
    value("apparmor", "", "PROFILE", "its AppArmor profile"),
    value("cgroup", "", "[CONTROLLER,...:]PATH", "a group below the container's, which must exist"),
    flag(
        "ignore-paused",
        "",
        "execute it in a paused container too, where it runs after the container is resumed",
    ),
];

pub(crate) const EXEC: Command = Command {
    name: "exec",
    operands: "ID COMMAND [ARGUMENT...]",
    about: "Execute another process in a container",
    options: OPTIONS,
    operand_count: 2,
    run,
};

/// runc's code for a process that could not be executed; one that was has its own.
const NOT_EXECUTED: u8 = 255;

fn run(global: &Global, args: &Args) -> Outcome {
    execute(global, args).map_err(|failure| Failure { code: NOT_EXECUTED, ..failure })
}

fn execute(global: &Global, args: &Args) -> Outcome {
    run_sealed()?;
    let preserved = Preserved::take(args)?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    let status = state_dir.status(&state);
    let target = target(&state, status, args.has("ignore-paused"))?;
    let pidfd = target.open().ok_or_else(|| stopped(&state))?;
    let pid = Pid::from_raw(target.pid).ok_or_else(|| stopped(&state))?;
    let spec = state_dir.config()?;
    let mut process = exec_process::of(&spec, args)?;
    preserved.announce(&mut process);
    let linux = spec.linux().as_ref().ok_or("the configuration has no linux")?;
    let detached = args.has("detach");
    let console = Console::of(args, process.terminal() == Some(true), detached)?;
    let cgroup = match args.value("cgroup") {
        Some(wish) => sub_group(&state.cgroup, wish)?,
        None => state.cgroup.to_join(target.pid),
    };
    // Before there is anything that a signal could be meant for.
    let signals = if detached { None } else { Some(SignalQueue::open()?) };
    let mut created = prepare_exec(ExecRequest {
        pid,
        pidfd: pidfd.as_fd(),
        state: &state.for_hook(status),
        spec: &spec,
        process: &process,
        seccomp: linux.seccomp().as_ref(),
        personality: linux.personality().as_ref(),
        cgroup: &cgroup,
        stdio: console.stdio(),
        preserve_fds: &preserved.borrowed(),
    })?;
    let pid_file = args.value("pid-file").filter(|path| !path.is_empty()).map(Path::new);
    let master = match write_pid_file(pid_file, created.pid())
        .and_then(|()| console.deliver(created.console_master()))
    {
        Ok(master) => master,
        Err(failure) => {
            created.abandon();
            return Err(failure);
        }
    };
    master.iter().for_each(foreground::copy_size);
    let executed = created.start()?;
    match signals {
        Some(signals) => Ok(foreground::serve(&signals, executed.pidfd.as_fd(), master)?.code()),
        None => Ok(0),
    }
}

fn target(state: &State, status: Status, ignore_paused: bool) -> Result<StateProcess, Failure> {
    match status {
        Status::Paused if !ignore_paused => {
            Err("cannot exec in a paused container (use --ignore-paused to override)".into())
        }
        Status::Created | Status::Running | Status::Paused => state.process.ok_or_else(|| stopped(state)),
        Status::Creating | Status::Stopped => Err(stopped(state)),
    }
}

fn stopped(state: &State) -> Failure {
    format!("container not running: cannot exec in {}", state.id).into()
}

/// `PATH`, or `CONTROLLER,...:PATH` on cgroup v1.
fn sub_group(cgroup: &Cgroup, wish: &str) -> Result<Cgroup, Failure> {
    let (controllers, path) = match wish.split_once(':') {
        Some((controllers, path)) => (Some(controllers.split(',').collect::<Vec<_>>()), path),
        None => (None, wish),
    };
    Ok(cgroup.below(controllers.as_deref(), Path::new(path))?)
}
