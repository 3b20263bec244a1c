//! `gaufre inspect`.

use clap::ValueEnum;
use gaufre_engine::{Engine, Failure, ImagesError, InspectError};
use serde_json::Value;

use crate::args::some_of;
use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::output::{self, Format};

/// Print all that is known of containers and images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a template such as '{{.State.Status}}'
    #[arg(short, long)]
    format: Option<String>,

    /// What the names stand for: container, image or all
    #[arg(
        short = 't',
        long = "type",
        default_value = "all",
        hide_possible_values = true,
        hide_default_value = true
    )]
    kind: Kind,

    /// Names or IDs
    #[arg(value_name = "CONTAINER|IMAGE")]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    All,
    Container,
    Image,
}

/// The exit code of [`Failure`] for what does not exist.
const NOT_FOUND: u8 = 1;

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let format = Format::parse(args.format.as_deref())?;
    let names = some_of(&args.names)?;
    let engine = global.engine()?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match look(&engine, name, args.kind) {
            Ok(value) => found.push(value),
            Err(error) => failures.push(error),
        }
    }
    match &format {
        Format::Table | Format::Json => output::print_json(&found)?,
        Format::Lines(template) | Format::Columns(template) => {
            found.iter().try_for_each(|value| output::line(template.render(value)?))?;
        }
    }
    failures.iter().for_each(CliError::print);
    Ok(failures.last().map_or(0, |_| crate::failure::OWN_FAILURE))
}

/// A container of that name, else an image.
fn look(engine: &Engine, name: &str, kind: Kind) -> Result<Value> {
    if kind != Kind::Image {
        match engine.inspect(name) {
            Ok(value) => return Ok(value),
            Err(error) if kind == Kind::All && error.exit_code() == NOT_FOUND => {}
            Err(error) => return Err(error.into()),
        }
    }
    match engine.inspect_image(name) {
        Ok(value) => Ok(value),
        Err(InspectError::Image(error @ ImagesError::OtherTags { .. })) => Err(error.into()),
        Err(error) if kind == Kind::All && error.exit_code() == NOT_FOUND => {
            Err(CliError::new(format_args!("there is no container and no image '{name}'")))
        }
        Err(error) => Err(error.into()),
    }
}
