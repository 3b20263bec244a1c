//! create: a container that waits to be started.

use std::os::fd::AsFd;

use gaufre_runtime::start_socket;

use crate::args::Args;
use crate::command::{Command, Outcome};
use crate::global::Global;
use crate::making::{self, Making};

pub(crate) const CREATE: Command = Command {
    name: "create",
    operands: "ID",
    about: "Make a container, which then waits to be started",
    options: &making::OPTIONS,
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    let making = Making::begin(global, args, true)?;
    let socket = start_socket(&making.state_dir.start_socket()).inspect_err(|_| {
        // The first failure is the one to report.
        let _ = making.state_dir.remove();
    })?;
    let (state_dir, created, _) = making.create(Some(socket.as_fd()))?;
    if let Err(error) = created.leave() {
        state_dir.delete(true)?;
        return Err(error.into());
    }
    Ok(0)
}
