//! `gaufre create`.

use gaufre_engine::RemoveOptions;

use crate::args::{CreateArgs, Stream, write_cidfile};
use crate::cli::Global;
use crate::failure::Result;
use crate::output;
use crate::progress::pulling;

/// Create a container from an image without starting it
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_usage = "gaufre create [OPTIONS] IMAGE [COMMAND [ARG]...]")]
#[command(after_help = "Its ID is printed; 'gaufre start' starts it.")]
pub(crate) struct Args {
    // Taken for the sake of scripts that pass the flags of `run`: who takes part is said at the start.
    #[arg(short, long, ignore_case = true, hide = true)]
    attach: Vec<Stream>,

    #[command(flatten)]
    pub(crate) create: CreateArgs,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let request = args.create.request()?;
    let cidfile = args.create.free_cidfile()?;
    let engine = global.engine()?;
    let id = engine.create(&request, pulling(args.create.pull.quiet).as_ref())?.to_string();
    if let Some(path) = cidfile
        && let Err(error) = write_cidfile(path, &id)
    {
        // Whoever asked for the file could not find the container.
        let _ = engine.remove(&id, RemoveOptions { force: true, volumes: true, timeout_s: None });
        return Err(error);
    }
    output::line(id)?;
    Ok(0)
}
