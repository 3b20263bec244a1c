//! `gaufre untag`.

use crate::cli::Global;
use crate::failure::Result;

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
    global.engine()?.untag(&args.image, &args.names)?;
    Ok(0)
}
