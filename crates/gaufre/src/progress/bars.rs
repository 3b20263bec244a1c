//! A bar for each layer: for terminals.

use gaufre_engine::{LayerProgress, PullProgress};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::short_digest;

/// Bars below each other, redrawn in place.
#[derive(Debug)]
pub(super) struct Bars {
    bars: MultiProgress,
    doing: &'static str,
}

impl Bars {
    /// `doing` is what is being done, as a beginning of a sentence.
    pub(super) fn new(doing: &'static str) -> Self {
        Self { bars: MultiProgress::new(), doing }
    }
}

// A line that is wider than the terminal wraps and cannot be drawn over: the bar takes what the rest leaves. The
// numbers are padded, so that columns stay in place while they grow.
const RUNNING: &str = "Copying blob {prefix} [{wide_bar}] {decimal_bytes:>9} / {decimal_total_bytes:<9} {decimal_bytes_per_sec:>11}";
const UNPACKING: &str =
    "Copying blob {prefix} [{wide_bar}] {decimal_bytes:>9} / {decimal_total_bytes:<9} unpacking..";
const ENDED: &str = "Copying blob {prefix} {wide_msg}";

fn style(template: &str) -> ProgressStyle {
    // Falls back on indicatif's own look should a template of ours be wrong; a test sees to it that none is.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

impl PullProgress for Bars {
    fn started(&self, what: &str) {
        self.message(&format!("{} {what}...", self.doing));
    }

    fn layer(&self, digest: &str, total_bytes: u64) -> Box<dyn LayerProgress> {
        // Drawn only once it is one of the bars: alone it would leave a line behind.
        let bar = ProgressBar::new(total_bytes)
            .with_style(style(RUNNING))
            .with_prefix(short_digest(digest).to_owned());
        Box::new(Bar(self.bars.add(bar)))
    }

    fn message(&self, text: &str) {
        // Drawn above the bars; a terminal that fails to show it is no reason to stop a pull.
        let _ = self.bars.println(text);
    }
}

#[derive(Debug)]
struct Bar(ProgressBar);

impl LayerProgress for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
        if self.0.length().is_some_and(|total| self.0.position() >= total) {
            self.0.set_style(style(UNPACKING));
        }
    }

    fn exists(&self) {
        self.0.set_style(style(ENDED));
        self.0.finish_with_message("already there");
    }

    fn done(&self) {
        self.0.set_style(style(ENDED));
        let (bytes, time) = (self.0.position(), self.0.elapsed().as_secs_f64());
        self.0.finish_with_message(format!("done: {} in {time:.1} s", crate::output::si_size(bytes)));
    }

    fn retrying(&self, reason: &str) {
        self.0.println(format!("Copying blob {} goes on after: {reason}", self.0.prefix()));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if !self.0.is_finished() {
            self.0.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_what_indicatif_understands() {
        for template in [RUNNING, UNPACKING, ENDED] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
