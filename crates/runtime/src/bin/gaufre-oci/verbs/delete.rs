//! delete: removes what a container that has ended left behind.

use gaufre_runtime::state::{StateDir, StateError};

use crate::args::{Args, flag};
use crate::command::{Command, Failure, Outcome};
use crate::global::Global;

pub(crate) const DELETE: Command = Command {
    name: "delete",
    operands: "ID",
    about: "Remove a container that has ended",
    options: &[flag("force", "f", "kill it first if it has not; one that does not exist is no failure")],
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    args.no_more(1)?;
    let force = args.has("force");
    delete(&global.state_dir(args)?, force)?;
    Ok(0)
}

/// With `force`, one that is gone by now is as good as deleted.
pub(crate) fn delete(state_dir: &StateDir, force: bool) -> Result<(), Failure> {
    match state_dir.delete(force) {
        Err(StateError::Unknown { .. }) if force => Ok(()),
        deleted => Ok(deleted?),
    }
}
