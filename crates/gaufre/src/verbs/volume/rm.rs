//! `gaufre volume rm`.

use crate::args::chosen;
use crate::cli::Global;
use crate::failure::{Result, for_each};
use crate::output;

/// Remove volumes with their data
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also stop and remove the containers that use them
    #[arg(short, long)]
    force: bool,

    /// Remove all volumes
    #[arg(short, long, conflicts_with = "volumes")]
    all: bool,

    /// Names
    #[arg(value_name = "VOLUME")]
    volumes: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let names = chosen(&args.volumes, args.all, || {
        Ok(engine.volumes()?.into_iter().map(|volume| volume.name).collect())
    })?;
    for_each(&names, |name| {
        engine.remove_volume(name, args.force)?;
        output::line(name)
    })
}
