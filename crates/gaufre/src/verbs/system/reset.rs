//! `gaufre system reset`.

use super::confirm;
use crate::cli::Global;
use crate::failure::Result;

/// Stop and remove everything: containers, images, volumes, the network
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let root = engine.dirs().root().display();
    if args.force
        || confirm(&format!("This stops and removes all containers, images and volumes in {root}."))?
    {
        engine.system_reset()?;
    }
    Ok(0)
}
