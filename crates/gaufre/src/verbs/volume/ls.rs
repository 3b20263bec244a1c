//! `gaufre volume ls`.

use gaufre_engine::Volume;

use super::fields;
use super::filter::Filter;
use crate::args::fits_all;
use crate::cli::Global;
use crate::failure::Result;
use crate::output::{self, Format, Table};

/// List volumes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print only names
    #[arg(short, long)]
    quiet: bool,

    /// Print no headings
    #[arg(short, long)]
    noheading: bool,

    /// List only what fits: name=REGEX, label=KEY[=VALUE], dangling=true
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,

    /// table, json, or a template such as '{{.Name}} {{.Mountpoint}}'
    #[arg(long)]
    format: Option<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let format = Format::parse(args.format.as_deref())?;
    let mut volumes = global.engine()?.volumes()?;
    volumes.retain(|volume| fits_all(&args.filter, volume));
    if args.quiet && args.format.is_none() {
        volumes.iter().try_for_each(|volume| output::line(&volume.name))?;
        return Ok(0);
    }
    let table = |volumes: &[Volume]| {
        let mut table = Table::new(["DRIVER", "VOLUME NAME"]);
        for volume in volumes {
            table.row(["local".to_owned(), volume.name.clone()]);
        }
        table
    };
    // As podman, which prints headings over the other empty lists.
    format.print(&volumes, fields, fields, table, !args.noheading && !volumes.is_empty())?;
    Ok(0)
}
