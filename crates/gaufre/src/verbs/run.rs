//! `gaufre run`.

use gaufre_engine::settings::CreateRequest;
use gaufre_engine::{Engine, RemoveOptions, StartOptions};

use crate::args::{CreateArgs, SessionArgs, Stream, streams, write_cidfile};
use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::output;
use crate::progress::pulling;

/// Create a container from an image and start it
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_usage = "gaufre run [OPTIONS] IMAGE [COMMAND [ARG]...]")]
#[command(after_help = "\
Examples:
  gaufre run --rm -it debian:12 sh
  gaufre run -d --name web -p 8080:80 -v ./site:/usr/share/nginx/html:ro nginx

Without --detach, gaufre shows the container's output, passes signals on to it, \
and exits with its exit code: 125 if gaufre itself failed, 126 if the command \
cannot be run, 127 if there is no such command.")]
pub(crate) struct Args {
    /// Leave it running in the background and print its ID
    #[arg(short, long, conflicts_with = "attach")]
    detach: bool,

    /// Take part in only these streams: stdin, stdout, stderr
    #[arg(short, long, value_name = "STREAM", ignore_case = true, hide_possible_values = true)]
    attach: Vec<Stream>,

    #[command(flatten)]
    session: SessionArgs,

    #[command(flatten)]
    create: CreateArgs,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let request = args.create.request()?;
    let cidfile = args.create.free_cidfile()?;
    let engine = global.engine()?;
    let id = engine.create(&request, pulling(args.create.pull.quiet).as_ref())?.to_string();
    let begun = match cidfile {
        Some(path) => write_cidfile(path, &id),
        None => Ok(()),
    };
    let started = begun.and_then(|()| start(args, &engine, &request, &id));
    if started.is_err() && request.settings.remove_on_exit {
        // It never ran, so nobody else removes it. That it could not be started is what the user has to hear.
        let _ = engine.remove(&id, RemoveOptions { force: true, volumes: true, timeout_s: None });
    }
    started
}

fn start(args: &Args, engine: &Engine, request: &CreateRequest, id: &str) -> Result<u8> {
    if args.detach {
        engine.start(id, StartOptions { attach: None })?;
        output::line(id)?;
        return Ok(0);
    }
    let part = args.session.part(streams(&args.attach, args.create.interactive()));
    let signals = part.catch_signals(args.create.terminal())?;
    let started = engine.start(id, StartOptions { attach: Some(part.streams) })?;
    match started.connection {
        Some(line) => part.attend(engine, id, line, signals),
        None => Err(CliError::new(format_args!(
            "container {} cannot be attached to",
            request.name.as_deref().unwrap_or(id)
        ))),
    }
}
