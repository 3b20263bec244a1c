//! `gaufre start`.

use gaufre_engine::{AttachStreams, Engine, StartOptions};

use crate::args::{SessionArgs, chosen, ids};
use crate::cli::Global;
use crate::failure::{CliError, Result, for_each};
use crate::output;

/// Start containers that were created or have ended
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show the container's output, and exit with its exit code
    #[arg(short, long)]
    attach: bool,

    /// Pass standard input on to the container
    #[arg(short, long)]
    interactive: bool,

    /// Start all containers
    #[arg(long, conflicts_with_all = ["containers", "attach"])]
    all: bool,

    #[command(flatten)]
    session: SessionArgs,

    /// Names or IDs
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let names = chosen(&args.containers, args.all, || Ok(ids(engine.list(true)?)))?;
    match names.as_slice() {
        [name] if args.attach || args.interactive => attached(args, &engine, name),
        _ if args.attach || args.interactive => {
            Err(CliError::new("one container at a time can be started with --attach or --interactive"))
        }
        names => for_each(names, |name| {
            engine.start(name, StartOptions { attach: None })?;
            output::line(name)
        }),
    }
}

fn attached(args: &Args, engine: &Engine, name: &str) -> Result<u8> {
    let streams = AttachStreams { stdin: args.interactive, stdout: true, stderr: true };
    let part = args.session.part(streams);
    // Caught before the start, as the workload may be quick; whether it has a terminal is known only afterwards.
    let mut signals = part.catch_signals(false)?;
    let started = engine.start(name, StartOptions { attach: Some(streams) })?;
    let id = started.id;
    let line = match started.connection {
        Some(line) => line,
        None => engine.attach(&id, streams)?,
    };
    if line.terminal {
        signals = part.catch_signals(true)?;
    }
    part.attend(engine, &id, line, signals)
}
