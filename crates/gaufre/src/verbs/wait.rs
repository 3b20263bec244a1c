//! `gaufre wait`.

use crate::args::some_of;
use crate::cli::Global;
use crate::failure::{Result, for_each};
use crate::output;

/// Wait until containers end, and print their exit codes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    // podman asks again and again; gaufre is told.
    #[arg(short, long, hide = true)]
    interval: Option<String>,

    /// Names or IDs
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    // Where nobody saw the code, -1 stands for it, as in podman.
    for_each(some_of(&args.containers)?, |name| output::line(engine.wait(name)?.unwrap_or(-1)))
}
