//! How a pull looks on standard error: bars on a terminal, plain lines elsewhere.

mod bars;
mod lines;

use gaufre_engine::PullProgress;

use crate::output::stderr_is_terminal;

/// What the user sees of a pull, nothing if `quiet`.
pub(crate) fn pulling(quiet: bool) -> Box<dyn PullProgress> {
    progress(quiet, "Trying to pull")
}

/// What the user sees of a load, nothing if `quiet`.
pub(crate) fn loading(quiet: bool) -> Box<dyn PullProgress> {
    progress(quiet, "Loading")
}

fn progress(quiet: bool, doing: &'static str) -> Box<dyn PullProgress> {
    match quiet {
        true => Box::new(()),
        false if stderr_is_terminal() => Box::new(bars::Bars::new(doing)),
        false => Box::new(lines::Lines { doing }),
    }
}
