//! `gaufre rm`.

use gaufre_engine::{FindError, RemoveError, RemoveOptions};

use crate::args::{chosen, ids};
use crate::cli::Global;
use crate::failure::{Result, for_each};
use crate::output;

/// Remove containers that do not run, or any with --force
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also stop and remove running ones; say nothing of those that do not exist
    #[arg(short, long)]
    force: bool,

    /// Remove all containers
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,

    /// Also remove the volumes that were made for them alone
    #[arg(short, long)]
    volumes: bool,

    /// Seconds that --force lets a running one end by itself
    #[arg(short, long, value_name = "SECONDS", default_value_t = gaufre_engine::settings::DEFAULT_STOP_TIMEOUT_S)]
    time: u32,

    /// Say nothing of containers that do not exist
    #[arg(short, long)]
    ignore: bool,

    /// Names or IDs
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let names = chosen(&args.containers, args.all, || Ok(ids(engine.list(true)?)))?;
    let options = RemoveOptions { force: args.force, volumes: args.volumes, timeout_s: Some(args.time) };
    for_each(&names, |name| match engine.remove(name, options) {
        Ok(_) => output::line(name),
        Err(RemoveError::Find(FindError::NoSuchSandbox(_))) if args.ignore || args.force || args.all => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    })
}
