//! `gaufre volume create`.

use std::collections::BTreeMap;

use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::output;

/// Make an empty volume and print its name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Attach a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Say nothing if there is one of that name
    #[arg(long)]
    ignore: bool,

    /// What keeps it: local, a directory of the store
    #[arg(short, long, value_name = "DRIVER", default_value = "local", value_parser = driver)]
    driver: String,

    /// Its name [default: 64 random digits]
    name: Option<String>,
}

fn driver(text: &str) -> std::result::Result<String, String> {
    match text {
        "local" => Ok(text.to_owned()),
        _ => Err(format!("there is no driver '{text}'; there is local")),
    }
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let mut labels = BTreeMap::new();
    for label in &args.label {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        if key.is_empty() {
            return Err(CliError::new(format_args!("the label '{label}' has no key")));
        }
        labels.insert(key.to_owned(), value.to_owned());
    }
    let engine = global.engine()?;
    if let Some(name) = args.name.as_deref().filter(|_| args.ignore)
        && engine.volumes()?.iter().any(|volume| volume.name == name)
    {
        return output::line(name).map(|()| 0);
    }
    output::line(engine.create_volume(args.name.as_deref(), &labels)?)?;
    Ok(0)
}
