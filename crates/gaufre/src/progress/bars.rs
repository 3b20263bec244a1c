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

/// The lines of a layer in a terminal of some width.
#[derive(Debug, Clone, Copy)]
struct Layout {
    running: &'static str,
    unpacking: &'static str,
    ended: &'static str,
}

// A line that is wider than the terminal wraps and cannot be drawn over: the bar takes what the rest leaves. The
// numbers are padded, so that columns stay in place while they grow.
const WIDE: Layout = Layout {
    running: "Copying blob {prefix} [{wide_bar}] {decimal_bytes:>9} / {decimal_total_bytes:<9} {decimal_bytes_per_sec:>11}",
    unpacking: "Copying blob {prefix} [{wide_bar}] {decimal_bytes:>9} / {decimal_total_bytes:<9} unpacking..",
    ended: "Copying blob {prefix} {wide_msg}",
};
const MIDDLING: Layout = Layout {
    running: "{prefix} [{wide_bar}] {decimal_bytes:>9} / {decimal_total_bytes:<9}",
    unpacking: "{prefix} [{wide_bar}] {decimal_bytes:>9} unpacking..",
    ended: "{prefix} {wide_msg}",
};
const NARROW: Layout = Layout {
    running: "{prefix} {percent:>3}%",
    unpacking: "{prefix} {percent:>3}%",
    ended: "{prefix} {wide_msg}",
};

impl Layout {
    /// The one with the most in it that leaves a bar of some length.
    fn for_width(columns: u16) -> Self {
        match columns {
            72.. => WIDE,
            46.. => MIDDLING,
            _ => NARROW,
        }
    }

    fn of_terminal() -> Self {
        // Without a size there is none to wrap at either.
        let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
        if columns == 0 { WIDE } else { Self::for_width(columns) }
    }
}

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
        let layout = Layout::of_terminal();
        let bar = ProgressBar::new(total_bytes)
            .with_style(style(layout.running))
            .with_prefix(short_digest(digest).to_owned());
        Box::new(Bar { bar: self.bars.add(bar), layout })
    }

    fn message(&self, text: &str) {
        // Drawn above the bars; a terminal that fails to show it is no reason to stop a pull.
        let _ = self.bars.println(text);
    }
}

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    layout: Layout,
}

impl LayerProgress for Bar {
    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
        if self.bar.length().is_some_and(|total| self.bar.position() >= total) {
            self.bar.set_style(style(self.layout.unpacking));
        }
    }

    fn exists(&self) {
        self.bar.set_style(style(self.layout.ended));
        self.bar.finish_with_message("already there");
    }

    fn done(&self) {
        self.bar.set_style(style(self.layout.ended));
        let (bytes, time) = (self.bar.position(), self.bar.elapsed().as_secs_f64());
        self.bar.finish_with_message(format!("done: {} in {time:.1} s", crate::output::si_size(bytes)));
    }

    fn retrying(&self, reason: &str) {
        self.bar.println(format!("Copying blob {} goes on after: {reason}", self.bar.prefix()));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if !self.bar.is_finished() {
            self.bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_what_indicatif_understands() {
        for layout in [WIDE, MIDDLING, NARROW] {
            for template in [layout.running, layout.unpacking, layout.ended] {
                ProgressStyle::with_template(template).unwrap();
            }
        }
    }

    /// How many columns a line takes besides its bar.
    fn fixed_columns(template: &str) -> usize {
        let mut columns = 0;
        for (at, part) in template.split(['{', '}']).enumerate() {
            columns += match part.rsplit_once(['<', '>']) {
                _ if at % 2 == 0 => part.chars().count(),
                Some((_, padded)) => padded.parse().unwrap(),
                None if part == "prefix" => 12,
                None => 0,
            };
        }
        columns
    }

    #[test]
    fn lines_fit_terminals_of_every_width_with_a_bar_that_can_be_seen() {
        assert_eq!(fixed_columns(MIDDLING.running), "6a5d6c9a37ae [] 1000.1 MB / 1000.1 MB".len());
        for columns in 20..200 {
            let layout = Layout::for_width(columns);
            for template in [layout.running, layout.unpacking, layout.ended] {
                let bar = if template.contains("wide_bar") { 8 } else { 0 };
                let needed = fixed_columns(template) + bar;
                assert!(needed <= usize::from(columns), "{columns}: {template}");
            }
        }
    }
}
