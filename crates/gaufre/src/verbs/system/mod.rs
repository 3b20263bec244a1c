//! `gaufre system`: the store as a whole.

mod check;
mod df;
mod prune;
mod reset;

use std::io::{self, BufRead, Write};

use crate::cli::Global;
use crate::failure::{CliError, Result};
use crate::output;

/// Look after the store: what it takes, what can go, if it is sound
#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) enum Verb {
    Df(df::Args),
    Prune(prune::Args),
    Check(check::Args),
    Reset(reset::Args),
}

pub(crate) fn execute(verb: &Verb, global: &Global) -> Result<u8> {
    match verb {
        Verb::Df(args) => df::execute(args, global),
        Verb::Prune(args) => prune::execute(args, global),
        Verb::Check(args) => check::execute(args, global),
        Verb::Reset(args) => reset::execute(args, global),
    }
}

/// Tells what will happen and asks whether it shall.
///
/// # Errors
/// When nothing can be asked, or the input ends before an answer, as in podman.
pub(in crate::verbs) fn confirm(warning: &str) -> Result<bool> {
    write!(io::stdout(), "{warning}\nAre you sure you want to continue? [y/N] ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    let unread = |error| CliError::because("cannot read the answer", error);
    if io::stdin().lock().read_line(&mut answer).map_err(unread)? == 0 {
        output::line("")?;
        let error = CliError::new("the input ended without an answer: nothing is removed");
        return Err(error.with_hint("--force does not ask."));
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
