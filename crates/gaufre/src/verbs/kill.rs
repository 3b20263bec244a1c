//! `gaufre kill`.

use gaufre_engine::settings::Signal;

use crate::args::{chosen, ids};
use crate::cli::Global;
use crate::failure::{Result, for_each};
use crate::output;

/// Send a signal to running containers, SIGKILL unless told otherwise
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Signal all running containers
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// Signal to send, by name or number
    #[arg(short, long, default_value = "KILL")]
    signal: Signal,

    /// Names or IDs
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let names = chosen(&args.containers, args.all, || Ok(ids(engine.list(false)?)))?;
    for_each(&names, |name| {
        engine.kill(name, args.signal)?;
        output::line(name)
    })
}
