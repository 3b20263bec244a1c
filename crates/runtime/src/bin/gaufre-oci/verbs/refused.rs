//! What this runtime does not do, by name: a caller must not take it for done.

use crate::args::Args;
use crate::command::{Command, Outcome};
use crate::global::Global;

pub(crate) const CHECKPOINT: Command = Command {
    name: "checkpoint",
    operands: "ID",
    about: "Not supported",
    options: &[],
    operand_count: 0,
    run: checkpoint,
};

pub(crate) const RESTORE: Command = Command {
    name: "restore",
    operands: "ID",
    about: "Not supported",
    options: &[],
    operand_count: 0,
    run: restore,
};

fn checkpoint(_: &Global, _: &Args) -> Outcome {
    Err("checkpoint is not supported by gaufre-oci".into())
}

fn restore(_: &Global, _: &Args) -> Outcome {
    Err("restore is not supported by gaufre-oci".into())
}
