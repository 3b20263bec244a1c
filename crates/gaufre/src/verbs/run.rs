//! `gaufre run`.

use std::path::Path;

use gaufre_engine::{Connection, Engine, FindError, RemoveError, RemoveOptions, StartError, StartOptions};

use crate::args::{CreateArgs, SessionArgs, Stream, streams, write_cidfile};
use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::output;
use crate::progress::pulling;
use crate::session::{Part, Signals};

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
    engine.expect_start(&request.settings.network);
    let id = engine.create(&request, pulling(args.create.pull.quiet).as_ref())?.to_string();
    let begun = match cidfile {
        Some(path) => write_cidfile(path, &id).and_then(|()| begin(args, &engine, &id)),
        None => begin(args, &engine, &id),
    };
    let never_ran = |error: &CliError| !error.cause().is_some_and(StartError::may_have_run);
    if begun.as_ref().is_err_and(never_ran) {
        // The same command can be given again at once, and why it failed is what the user has to hear.
        forget(&engine, &id, cidfile);
    }
    let ended = match begun? {
        Begun::Detached => output::line(&id).map(|()| 0),
        Begun::Attached { part, line, signals } => part.attend(&engine, &id, line, signals),
    };
    if ended.is_err() && request.settings.remove_on_exit {
        // Whoever would have looked after it has gone.
        let _ = engine.remove(&id, RemoveOptions { force: true, volumes: true, timeout_s: None });
    }
    ended
}

/// A container whose workload runs.
enum Begun {
    /// By itself.
    Detached,
    /// With the user taking part.
    Attached { part: Part, line: Connection, signals: Signals },
}

fn begin(args: &Args, engine: &Engine, id: &str) -> Result<Begun> {
    if args.detach {
        engine.start(id, StartOptions { attach: None })?;
        return Ok(Begun::Detached);
    }
    let part = args.session.part(streams(&args.attach, args.create.interactive()));
    let signals = part.catch_signals(args.create.terminal())?;
    let line = match engine.start(id, StartOptions { attach: Some(part.streams) })?.connection {
        Some(line) => line,
        None => engine.attach(id, part.streams)?,
    };
    Ok(Begun::Attached { part, line, signals })
}

/// Removes a container that never ran, unless somebody else has started it meanwhile, and the file with its ID.
fn forget(engine: &Engine, id: &str, cidfile: Option<&Path>) {
    let options = RemoveOptions { force: false, volumes: true, timeout_s: None };
    let is_gone = match engine.remove(id, options) {
        // With --rm its keeper has removed it.
        Ok(_) | Err(RemoveError::Find(FindError::NoSuchSandbox(_))) => true,
        Err(_) => false,
    };
    if is_gone
        && let Some(path) = cidfile
        && std::fs::read_to_string(path).is_ok_and(|written| written == id)
    {
        let _ = std::fs::remove_file(path);
    }
}
