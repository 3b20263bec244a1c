//! `gaufre tag`.

use crate::cli::Global;
use crate::failure::{CliError, OWN_FAILURE, Result, for_each};

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
    // Code 1 for what does not exist is for those verbs whose purpose is to find out.
    for_each(&args.names, |name| {
        engine.tag(&args.image, name).map_err(|error| CliError::from(error).with_exit_code(OWN_FAILURE))
    })
}
