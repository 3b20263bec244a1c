//! How a pull looks on standard error: bars on a terminal, plain lines elsewhere.

mod bars;
mod lines;

use gaufre_engine::PullProgress;

use crate::output::stderr_is_terminal;

/// What the user sees of a pull or load, nothing if `quiet`.
pub(crate) fn progress(quiet: bool) -> Box<dyn PullProgress> {
    match quiet {
        true => Box::new(()),
        false if stderr_is_terminal() => Box::new(bars::Bars::default()),
        false => Box::new(lines::Lines),
    }
}
