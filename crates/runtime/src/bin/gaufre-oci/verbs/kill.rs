//! kill: a signal to the container's first process, or to all of its processes.

use std::os::fd::AsFd;

use gaufre_runtime::state::{Process, State, StateDir, Status};
use rustix::process::{Pid, Signal};

use crate::args::{Args, flag};
use crate::command::{Command, Failure, Outcome};
use crate::global::Global;
use crate::signal_names;

pub(crate) const KILL: Command = Command {
    name: "kill",
    operands: "ID [SIGNAL]",
    about: "Send a signal (default TERM) to a container's first process",
    options: &[flag("all", "a", "to all of its processes")],
    // A signal may begin with a dash, as kill(1) has it.
    operand_count: 1,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    let mut all = args.has("all");
    let mut word = None;
    for given in args.rest(1) {
        match given.as_str() {
            "-a" | "--all" => all = true,
            given if word.is_none() => word = Some(given.strip_prefix('-').unwrap_or(given)),
            given => return Err(format!("unexpected argument {given}").into()),
        }
    }
    let signal = signal_names::parse(word.unwrap_or("TERM"))?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    if all { signal_all(&state_dir, &state, signal) } else { signal_first(&state, signal) }
}

fn signal_first(state: &State, signal: Option<Signal>) -> Outcome {
    let pidfd = state.process.and_then(Process::open).ok_or_else(|| not_running(state))?;
    if let Some(signal) = signal {
        match gaufre_runtime::kill(pidfd.as_fd(), signal) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                return Err(not_running(state));
            }
            sent => sent?,
        }
        if signal == Signal::KILL && state.cgroup.is_frozen().unwrap_or(false) {
            // On cgroup v1 a frozen process does not even die.
            state.cgroup.thaw()?;
        }
    }
    Ok(0)
}

/// As runc, also when the first process has ended: others may be left that share the host's PID namespace.
fn signal_all(state_dir: &StateDir, state: &State, signal: Option<Signal>) -> Outcome {
    let Some(signal) = signal else { return signal_first(state, None) };
    let is_there = || state.cgroup.exists() && !state.cgroup.is_anothers();
    if signal == Signal::KILL {
        state.cgroup.kill_all()?;
    } else if is_there() {
        let was_running = state_dir.status(state) != Status::Paused;
        // Held still, none of them forks or ends meanwhile, so that none is missed and no id means another process.
        let held = was_running && state.cgroup.freeze().is_ok();
        let sent = signal_each(state, signal);
        if held {
            state.cgroup.thaw()?;
        }
        sent?;
    }
    if !is_there() { signal_first(state, Some(signal)) } else { Ok(0) }
}

fn signal_each(state: &State, signal: Signal) -> Result<(), Failure> {
    for pid in state.cgroup.procs()?.into_iter().filter_map(Pid::from_raw) {
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(format!("process {pid}: {error}").into()),
        }
    }
    Ok(())
}

/// containerd's shim looks for these words: "container not running".
fn not_running(state: &State) -> Failure {
    format!("container not running: {} has ended", state.id).into()
}
