//! `gaufre volume inspect`.

use super::fields;
use crate::args::chosen;
use crate::cli::Global;
use crate::failure::{CliError, OWN_FAILURE, Result};
use crate::output::{self, Format};

/// Print all that is known of volumes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// All volumes
    #[arg(short, long, conflicts_with = "volumes")]
    all: bool,

    /// json, or a template such as '{{.Mountpoint}}'
    #[arg(short, long)]
    format: Option<String>,

    /// Names
    #[arg(value_name = "VOLUME")]
    volumes: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let format = Format::parse(args.format.as_deref())?;
    let engine = global.engine()?;
    let names = chosen(&args.volumes, args.all, || {
        Ok(engine.volumes()?.into_iter().map(|volume| volume.name).collect())
    })?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        match engine.volume(name) {
            Ok(volume) => found.push(fields(&volume)),
            Err(error) => failures.push(CliError::from(error)),
        }
    }
    match &format {
        Format::Table | Format::Json => output::print_json(&found)?,
        Format::Lines(template) | Format::Columns(template) => {
            found.iter().try_for_each(|value| output::line(template.render(value)?))?;
        }
    }
    failures.iter().for_each(CliError::print);
    Ok(failures.last().map_or(0, |_| OWN_FAILURE))
}
