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
    match delete(&global.state_dir(args)?, force) {
        Err(Failure { error, .. })
            if force && matches!(error.downcast_ref(), Some(StateError::Unknown { .. })) =>
        {
            Ok(0)
        }
        deleted => deleted.map(|()| 0),
    }
}

pub(crate) fn delete(state_dir: &StateDir, force: bool) -> Result<(), Failure> {
    Ok(state_dir.delete(force)?)
}
