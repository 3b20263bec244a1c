//! The command line of gaufre: it parses what the user said, calls the engine, and prints. Nothing else in gaufre knows
//! that there is a terminal.

#![forbid(unsafe_code)]

mod args;
mod cli;
mod failure;
mod frequent;
mod hidden;
mod output;
mod progress;
mod session;
mod usage;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;

fn main() -> ExitCode {
    // Helper processes are this same program: they are many and short-lived, and never see the command line's parser.
    if let Some(code) = hidden::dispatch() {
        return code;
    }
    let args = usage::help_as_flag(std::env::args_os().collect());
    let cli = match frequent::parse(&args).map_or_else(|| Cli::try_parse_from(&args), Ok) {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error, args.into_iter()).into(),
    };
    tracing_subscriber::fmt()
        .with_max_level(cli.global.log_level)
        .with_writer(std::io::stderr)
        .event_format(output::Diagnostics)
        .init();
    let outcome = cli.verb.execute(&cli.global);
    session::restore();
    match outcome {
        Ok(code) => code.into(),
        Err(error) if error.is_broken_pipe() => session::die_of_broken_pipe(),
        Err(error) => {
            let code = error.exit_code();
            error.with_fallback_hint(cli.global.hint()).print();
            code.into()
        }
    }
}
