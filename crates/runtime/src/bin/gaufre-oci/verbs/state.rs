//! state: where a container is in its life, as JSON.

use crate::args::Args;
use crate::command::{Command, Outcome, print};
use crate::global::Global;

pub(crate) const STATE: Command = Command {
    name: "state",
    operands: "ID",
    about: "Print the state of a container",
    options: &[],
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    args.no_more(1)?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    // runc leaves the owner empty here, and so do we: finding the name is work that nobody has use for.
    let json = serde_json::to_string_pretty(&state.to_oci(state_dir.status(&state), String::new()))?;
    print(&format!("{json}\n"))
}
