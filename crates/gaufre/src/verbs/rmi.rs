//! `gaufre rmi`.

use gaufre_engine::Failure;

use crate::args::chosen;
use crate::cli::Global;
use crate::failure::{Result, for_each};
use crate::output;

/// Remove images that no container uses, or any with --force
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Remove all images
    #[arg(short, long, conflicts_with = "images")]
    all: bool,

    /// Also remove the containers made from them; say nothing of images that do not exist
    #[arg(short, long)]
    force: bool,

    /// Say nothing of images that do not exist
    #[arg(short, long)]
    ignore: bool,

    /// Names or IDs
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
}

/// The exit code of podman, and of [`Failure`], for what does not exist.
const NOT_FOUND: u8 = 1;

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let images =
        chosen(&args.images, args.all, || Ok(engine.images()?.into_iter().map(|image| image.id).collect()))?;
    for_each(&images, |image| match engine.remove_image(image, args.force || args.all) {
        Ok(removed) => {
            removed.untagged.iter().try_for_each(|name| output::line(format_args!("Untagged: {name}")))?;
            removed.deleted.iter().try_for_each(|id| output::line(format_args!("Deleted: {id}")))
        }
        Err(error) if (args.ignore || args.force) && error.exit_code() == NOT_FOUND => Ok(()),
        Err(error) => Err(error.into()),
    })
}
