//! `gaufre untag`.

use crate::cli::Global;
use crate::failure::{CliError, OWN_FAILURE, Result};

/// Take names away from an image; the image stays
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image, by name or ID
    image: String,

    /// Names to take away [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let untagged = global.engine()?.untag(&args.image, &args.names);
    untagged.map_err(|error| CliError::from(error).with_exit_code(OWN_FAILURE))?;
    Ok(0)
}
