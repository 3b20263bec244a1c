//! `gaufre stop`.

use gaufre_engine::{FindError, StopError};

use crate::args::{chosen, ids};
use crate::cli::Global;
use crate::failure::{Result, for_each};
use crate::output;

/// Stop running containers: ask them to end, and kill what does not
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stop all running containers
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// Seconds to wait before killing [default: the container's, usually 10]
    #[arg(short, long, alias = "timeout", value_name = "SECONDS")]
    time: Option<u32>,

    /// Say nothing of containers that do not exist
    #[arg(short, long)]
    ignore: bool,

    /// Names or IDs
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let names = chosen(&args.containers, args.all, || Ok(ids(engine.list(false)?)))?;
    for_each(&names, |name| match engine.stop(name, args.time) {
        Ok(_) => output::line(name),
        Err(StopError::Find(FindError::NoSuchSandbox(_))) if args.ignore => Ok(()),
        Err(error) => Err(error.into()),
    })
}
