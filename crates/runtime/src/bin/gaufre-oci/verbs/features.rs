//! features: what this runtime understands, in the form of the specification (features.md).

use crate::args::Args;
use crate::command::{Command, Outcome, print};
use crate::global::Global;

pub(crate) const FEATURES: Command = Command {
    name: "features",
    operands: "",
    about: "Print what this runtime understands, as JSON",
    options: &[],
    operand_count: usize::MAX,
    run,
};

fn run(_: &Global, args: &Args) -> Outcome {
    args.no_more(0)?;
    print(&format!("{}\n", serde_json::to_string_pretty(&gaufre_runtime::features())?))
}
