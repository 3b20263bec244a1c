//! `gaufre exec`.

use gaufre_engine::ExecRequest;

use crate::args::EnvArgs;
use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::session::{self, RawMode, Signals, exit_code, stdin_is_terminal};

/// Execute a command in a running container
#[derive(Debug, clap::Args)]
#[command(override_usage = "gaufre exec [OPTIONS] CONTAINER COMMAND [ARG]...")]
#[command(after_help = "\
Exits with the command's exit code: 126 if it cannot be run, 127 if there is none, \
255 if the container does not run, 125 if gaufre itself failed.")]
pub(crate) struct Args {
    /// Leave the command running in the background
    #[arg(short, long)]
    detach: bool,

    /// Pass standard input on to the command
    #[arg(short, long)]
    interactive: bool,

    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,

    #[command(flatten)]
    env: EnvArgs,

    /// User and group to run as, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// Give nearly all rights of the host's root
    #[arg(long)]
    privileged: bool,

    // One list, so that everything after the container belongs to the command, also what looks like a flag.
    #[arg(value_name = "CONTAINER", required = true, trailing_var_arg = true, hide = true)]
    words: Vec<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let (container, command) = match args.words.split_first() {
        Some((container, command)) if !command.is_empty() => (container, command),
        _ => return Err(CliError::new("give the container, and the command to execute in it")),
    };
    let request = ExecRequest {
        command: command.to_vec(),
        terminal: args.tty,
        stdin_open: args.interactive,
        env: args.env.resolve()?,
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        privileged: args.privileged,
    };
    let engine = global.engine()?;
    // From here on as a program that the container cannot reach for writing.
    gaufre_engine::seal()?;
    if args.detach {
        engine.exec_detached(container, &request)?;
        return Ok(0);
    }
    let is_raw = args.tty && args.interactive && stdin_is_terminal();
    let caught = Signals::of_session(is_raw, true);
    let mut signals = caught.map_err(|error| CliError::because("cannot catch signals", error))?;
    let mut session = engine.exec(container, &request)?;
    let raw = match is_raw.then(RawMode::enter) {
        Some(raw) => {
            Some(raw.map_err(|error| CliError::because("cannot put the terminal into raw mode", error))?)
        }
        None => None,
    };
    session::converse(&mut session, args.tty, is_raw, &mut signals)?;
    drop(raw);
    let code = session
        .exit_code()
        .map_err(|error| CliError::because("cannot tell the command's exit code", error))?;
    exit_code(container, Some(code))
}
