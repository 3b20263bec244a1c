//! pause and resume.

use gaufre_runtime::state::Status;

use crate::args::Args;
use crate::command::{Command, Outcome};
use crate::global::Global;

pub(crate) const PAUSE: Command = Command {
    name: "pause",
    operands: "ID",
    about: "Stop all processes of a container for a while",
    options: &[],
    operand_count: usize::MAX,
    run: pause,
};

pub(crate) const RESUME: Command = Command {
    name: "resume",
    operands: "ID",
    about: "Let the processes of a paused container go on",
    options: &[],
    operand_count: usize::MAX,
    run: resume,
};

fn pause(global: &Global, args: &Args) -> Outcome {
    args.no_more(1)?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    match state_dir.status(&state) {
        Status::Running | Status::Created => state.cgroup.freeze()?,
        status => return Err(format!("container not running: {} is {status}", state.id).into()),
    }
    Ok(0)
}

fn resume(global: &Global, args: &Args) -> Outcome {
    args.no_more(1)?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    // A container that was created only may have been paused as well; it is that again then.
    if !state.cgroup.is_frozen()? {
        return Err(format!("container not paused: {} is {}", state.id, state_dir.status(&state)).into());
    }
    state.cgroup.thaw()?;
    Ok(0)
}
