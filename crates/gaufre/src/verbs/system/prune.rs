//! `gaufre system prune`.

use gaufre_engine::PruneOptions;

use super::confirm;
use crate::cli::Global;
use crate::failure::Result;
use crate::output::{self, si_size};

/// Remove what is not used: containers that do not run, images without names
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also remove images that have names but no containers
    #[arg(short, long)]
    all: bool,

    /// Also remove volumes that no container uses
    #[arg(long)]
    volumes: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let mut warning = "This removes:\n  - all containers that do not run".to_owned();
    warning.push_str(match args.all {
        true => "\n  - all images without containers",
        false => "\n  - all images without names and containers",
    });
    if args.volumes {
        warning.push_str("\n  - all volumes that no container uses");
    }
    let options = PruneOptions { all: args.all, volumes: args.volumes };
    // What else goes is left of pulls that were broken off, and nobody's.
    if !args.force && engine.has_something_to_prune(options)? && !confirm(&warning)? {
        return Ok(0);
    }
    let report = engine.system_prune(options)?;
    let kinds = [("Containers", &report.sandboxes), ("Images", &report.images), ("Volumes", &report.volumes)];
    for (kind, removed) in kinds.iter().filter(|(_, removed)| !removed.is_empty()) {
        output::line(format_args!("Deleted {kind}"))?;
        removed.iter().try_for_each(output::line)?;
    }
    output::line(format_args!("Total reclaimed space: {}", si_size(report.reclaimed_bytes)))?;
    Ok(0)
}
