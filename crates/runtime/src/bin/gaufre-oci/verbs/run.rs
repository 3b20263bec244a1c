//! run: create and start and, in the foreground, wait and delete.

use std::os::fd::AsFd;

use gaufre_runtime::signals::SignalQueue;

use crate::args::{Args, Known, flag};
use crate::command::{Command, Outcome};
use crate::global::Global;
use crate::making::{self, Making};
use crate::{foreground, verbs::delete};

const OPTIONS: [Known; 9] = {
    let [bundle, console, pid_file, no_pivot, no_new_keyring, preserve_fds] = making::OPTIONS;
    [
        bundle,
        console,
        pid_file,
        no_pivot,
        no_new_keyring,
        preserve_fds,
        flag("detach", "d", "do not wait for it to end"),
        flag("keep", "", "do not delete it when it has ended"),
        flag("no-subreaper", "", "accepted as runc has it: we never become one"),
    ]
};

pub(crate) const RUN: Command = Command {
    name: "run",
    operands: "ID",
    about: "Create and start a container, wait for its end and delete it",
    options: &OPTIONS,
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    let detached = args.has("detach");
    let making = Making::begin(global, args, detached)?;
    // Before there is anything that a signal could be meant for.
    let signals = if detached { None } else { Some(SignalQueue::open()?) };
    let (state_dir, created, master) = making.create(None)?;
    master.iter().for_each(foreground::copy_size);
    let running = match created.start() {
        Ok(running) => running,
        Err(error) => {
            // The first failure is the one to report.
            let _ = state_dir.delete(true);
            return Err(error.into());
        }
    };
    let Some(signals) = signals else { return Ok(0) };
    let served = foreground::serve(&signals, running.pidfd.as_fd(), master);
    if !args.has("keep") {
        delete::delete(&state_dir, true)?;
    }
    Ok(served?.code())
}
