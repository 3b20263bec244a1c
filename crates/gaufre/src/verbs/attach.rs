//! `gaufre attach`.

use gaufre_engine::AttachStreams;

use crate::args::SessionArgs;
use crate::cli::Global;
use crate::failure::Result;

/// Take part in a running container: output, input, terminal
#[derive(Debug, clap::Args)]
#[command(after_help = "Exits with the container's exit code; the detach keys leave it running.")]
pub(crate) struct Args {
    /// Do not pass standard input on
    #[arg(long)]
    no_stdin: bool,

    #[command(flatten)]
    session: SessionArgs,

    /// Name or ID
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    let part = args.session.part(AttachStreams { stdin: !args.no_stdin, stdout: true, stderr: true });
    let line = engine.attach(&args.container, part.streams)?;
    let signals = part.catch_signals(line.terminal)?;
    part.attend(&engine, &args.container, line, signals)
}
