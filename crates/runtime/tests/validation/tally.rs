//! Reporting as Rust's test harness does, for tests that it cannot run.

use std::process::ExitCode;
use std::time::Instant;

/// Says what Rust's harness would.
pub(crate) struct Tally {
    /// What the names of the tests begin with.
    group: &'static str,
    passed: usize,
    ignored: usize,
    failed: Vec<(&'static str, String)>,
}

impl Tally {
    pub(crate) fn of(group: &'static str) -> Self {
        Self { group, passed: 0, ignored: 0, failed: Vec::new() }
    }

    pub(crate) fn pass(&mut self, name: &'static str) {
        println!("test {}::{name} ... ok", self.group);
        self.passed += 1;
    }

    pub(crate) fn ignore(&mut self, name: &'static str, why: &str) {
        println!("test {}::{name} ... ignored, {why}", self.group);
        self.ignored += 1;
    }

    pub(crate) fn fail(&mut self, name: &'static str, why: String) {
        println!("test {}::{name} ... FAILED", self.group);
        self.failed.push((name, why));
    }

    pub(crate) fn conclude(self, started: Instant) -> ExitCode {
        let ok = self.failed.is_empty();
        if !ok {
            println!("\nfailures:\n");
            self.failed
                .iter()
                .for_each(|(name, why)| println!("---- {}::{name} stdout ----\n{why}", self.group));
            println!("\nfailures:");
            self.failed.iter().for_each(|(name, _)| println!("    {}::{name}", self.group));
        }
        println!(
            "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; 0 filtered out; finished in {:.2}s\n",
            if ok { "ok" } else { "FAILED" },
            self.passed,
            self.failed.len(),
            self.ignored,
            started.elapsed().as_secs_f64()
        );
        if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
