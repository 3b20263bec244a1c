//! One line for each thing that happens: for logs and pipes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gaufre_engine::{LayerProgress, PullProgress};

use crate::output::{note, short_digest, si_size};

/// Plain lines.
#[derive(Debug)]
pub(super) struct Lines {
    /// What is being done, as a beginning of a sentence.
    pub(super) doing: &'static str,
}

impl PullProgress for Lines {
    fn started(&self, what: &str) {
        note(format_args!("{} {what}...", self.doing));
    }

    fn layer(&self, digest: &str, total_bytes: u64) -> Box<dyn LayerProgress> {
        let digest = short_digest(digest).to_owned();
        note(format_args!("Copying blob {digest} ({})", si_size(total_bytes)));
        Box::new(Line { digest, begun: Instant::now(), bytes: AtomicU64::new(0), said: Mutex::new(false) })
    }

    fn message(&self, text: &str) {
        note(text);
    }
}

#[derive(Debug)]
struct Line {
    digest: String,
    begun: Instant,
    bytes: AtomicU64,
    said: Mutex<bool>,
}

impl Line {
    /// Says how the layer ended, once.
    fn end(&self, how: impl std::fmt::Display) {
        if let Ok(mut said) = self.said.lock()
            && !std::mem::replace(&mut *said, true)
        {
            note(format_args!("Copying blob {} {how}", self.digest));
        }
    }
}

impl LayerProgress for Line {
    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn exists(&self) {
        self.end("skipped: already there");
    }

    fn done(&self) {
        let (bytes, seconds) = (self.bytes.load(Ordering::Relaxed), self.begun.elapsed().as_secs_f64());
        self.end(format_args!("done: {} in {seconds:.1} s", si_size(bytes)));
    }

    fn retrying(&self, reason: &str) {
        note(format_args!("Copying blob {} goes on after: {reason}", self.digest));
    }
}
