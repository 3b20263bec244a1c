//! `gaufre volume prune`.

use gaufre_engine::Volume;

use super::filter::Filter;
use crate::args::fits_all;
use crate::cli::Global;
use crate::failure::Result;
use crate::output;
use crate::verbs::system::confirm;

/// Remove the volumes that no container uses
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Remove only what fits: name=REGEX, label=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let goes = |volume: &Volume| fits_all(&args.filter, volume);
    if !args.force {
        let mut volumes = engine.volumes()?;
        volumes.retain(|volume| volume.sandboxes.is_empty() && goes(volume));
        if volumes.is_empty() {
            return Ok(0);
        }
        let mut warning = "This removes the volumes that no container uses:".to_owned();
        for volume in volumes {
            warning.push_str(&format!("\n  - {}", volume.name));
        }
        if !confirm(&warning)? {
            return Ok(0);
        }
    }
    engine.prune_volumes(goes)?.iter().try_for_each(output::line)?;
    Ok(0)
}
