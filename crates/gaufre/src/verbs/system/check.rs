//! `gaufre system check`.

use crate::cli::Global;
use crate::failure::Result;
use crate::output;

/// Verify images, layers, containers and the network
#[derive(Debug, clap::Args)]
#[command(after_help = "Exits with 0 if nothing is wrong, or nothing any more; with 1 otherwise.")]
pub(crate) struct Args {
    /// Mend what can be mended
    #[arg(long)]
    repair: bool,

    /// json for the report as JSON
    #[arg(long, value_parser = ["json"])]
    format: Option<String>,
}

/// The store is not sound.
const UNSOUND: u8 = 1;

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let report = global.engine()?.system_check(args.repair)?;
    let unsound = !report.unrepaired.is_empty() || (!args.repair && !report.problems.is_empty());
    if args.format.is_some() {
        output::print_json(&report)?;
        return Ok(if unsound { UNSOUND } else { 0 });
    }
    for checked in &report.checked {
        output::line(format_args!("checked: {checked}"))?;
    }
    let word = if args.repair { "mended" } else { "wrong" };
    for problem in &report.problems {
        output::line(format_args!("{word}: {problem}"))?;
    }
    for problem in &report.unrepaired {
        output::line(format_args!("wrong: {problem}"))?;
    }
    for warning in &report.warnings {
        output::line(format_args!("warning: {warning}"))?;
    }
    match (unsound, args.repair) {
        (false, _) if report.problems.is_empty() => output::line("Nothing is wrong.")?,
        (false, _) => output::line("Everything has been mended.")?,
        (true, false) => output::line("Mend what can be mended with: gaufre system check --repair")?,
        (true, true) => output::line("Some of it cannot be mended; what to do is said above.")?,
    }
    Ok(if unsound { UNSOUND } else { 0 })
}
