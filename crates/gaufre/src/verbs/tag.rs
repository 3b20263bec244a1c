//! `gaufre tag`.

use crate::cli::Global;
use crate::failure::{Result, for_each};

/// Give an image more names
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image, by name or ID
    image: String,

    /// New names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    for_each(&args.names, |name| Ok(engine.tag(&args.image, name)?))
}
