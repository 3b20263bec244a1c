//! `gaufre pull`.

use gaufre_engine::PullRequest;
use gaufre_engine::settings::{Platform, PullPolicy};

use crate::args::{RegistryArgs, some_of};
use crate::cli::Global;
use crate::failure::{Result, for_each};
use crate::output;
use crate::progress::pulling;

/// Pull images from a registry, and print their IDs
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,

    /// Platform to choose, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<Platform>,

    // Before the registry's flags, whose heading it would get.
    /// Names, such as redis:7 or quay.io/team/app@sha256:..
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,

    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let images = some_of(&args.images)?;
    let engine = global.engine()?;
    let progress = pulling(args.quiet);
    for_each(images, |image| {
        let request = PullRequest {
            reference: image.to_owned(),
            platform: args.platform.clone(),
            registry: args.registry.access(),
            policy: PullPolicy::Always,
        };
        output::line(engine.pull(&request, progress.as_ref())?.id)
    })
}
