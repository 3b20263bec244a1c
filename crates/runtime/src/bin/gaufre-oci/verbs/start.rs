//! start: executes the workload of a container that was created.

use std::os::fd::AsFd;

use gaufre_runtime::hooks::Stage;
use gaufre_runtime::start_at;
use gaufre_runtime::state::{State, StateDir, Status};
use rustix::process::Signal;

use crate::args::Args;
use crate::command::Failure;
use crate::command::{Command, Outcome};
use crate::global::Global;

pub(crate) const START: Command = Command {
    name: "start",
    operands: "ID",
    about: "Start a container that was created",
    options: &[],
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    args.no_more(1)?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    let status = state_dir.status(&state);
    if status != Status::Created {
        return Err(format!("container {} cannot be started: it is {status}", state.id).into());
    }
    let started = start_at(&state_dir.start_socket());
    // Started or failed: it does not wait any longer. A socket left behind does no harm, nobody listens.
    let _ = std::fs::remove_file(state_dir.start_socket());
    started?;
    run_hooks(&state_dir, &state)?;
    Ok(0)
}

/// Runs the poststart hooks; the container ends where one fails.
fn run_hooks(state_dir: &StateDir, state: &State) -> Result<(), Failure> {
    let (Some(process), Some(hooks)) = (state.process, state_dir.hooks(state)?) else { return Ok(()) };
    hooks.run(Stage::Poststart, process.pid).map_err(|error| {
        if let Some(pidfd) = process.open() {
            // It may have ended by itself.
            let _ = gaufre_runtime::kill(pidfd.as_fd(), Signal::KILL);
        }
        error.into()
    })
}
