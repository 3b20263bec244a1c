//! `gaufre load`.

use std::path::PathBuf;

use gaufre_engine::LoadSource;

use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::output;
use crate::progress::loading;
use crate::session::stdin_is_terminal;

/// Load images from a docker-archive, oci-archive or OCI layout
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// File or directory to read [default: standard input]
    #[arg(short, long, value_name = "PATH")]
    input: Option<PathBuf>,

    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let source = match &args.input {
        Some(path) => LoadSource::Path(path.clone()),
        None if stdin_is_terminal() => {
            return Err(CliError::new("there is no archive on standard input")
                .with_hint("name it with --input, or pass it with '<'"));
        }
        None => LoadSource::Stdin,
    };
    for image in global.engine()?.load(&source, loading(args.quiet).as_ref())? {
        match (&image.name, &image.label) {
            (None, Some(label)) => {
                // Written by whoever made the archive.
                output::line(format_args!("Loaded image: {} ({})", image.id, label.escape_debug()))?;
            }
            (name, _) => output::line(format_args!("Loaded image: {}", name.as_ref().unwrap_or(&image.id)))?,
        }
    }
    Ok(0)
}
