//! Counts what Rust's test harness reports.

use std::process::ExitCode;

/// What has been seen so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: usize,
    /// A name and what is known about why.
    failed: Vec<(String, String)>,
    skipped: Vec<(String, String)>,
}

impl Tally {
    /// Counts one thing that went well.
    pub(super) fn pass(&mut self) {
        self.passed += 1;
    }

    /// Counts one thing that did not.
    pub(super) fn fail(&mut self, name: &str, why: &str) {
        self.failed.push((name.to_owned(), why.to_owned()));
    }

    /// Counts one thing that was not tried.
    pub(super) fn skip(&mut self, name: &str, why: &str) {
        self.skipped.push((name.to_owned(), why.to_owned()));
    }

    /// Counts the tests in the output of `run`; `success` is what its exit code said.
    pub(super) fn take(&mut self, run: &str, output: &str, success: bool) {
        let failed_before = self.failed.len();
        let mut results = 0;
        let mut listed = false;
        for line in output.lines().map(str::trim_end) {
            if let Some((name, outcome)) =
                line.strip_prefix("test ").and_then(|line| line.rsplit_once(" ... "))
            {
                if let Some(reason) = outcome.strip_prefix("ignored") {
                    let reason = reason.trim_start_matches([',', ' ']);
                    self.skip(name, if reason.is_empty() { "no reason is given" } else { reason });
                }
            } else if let Some(counts) = line.strip_prefix("test result: ") {
                results += 1;
                listed = false;
                self.passed += count(counts, "passed");
            } else if line == "failures:" {
                // Printed twice: first with each test's output, then with the bare names.
                listed = true;
            } else if let Some(name) = line.strip_prefix("    ").filter(|name| listed && is_name(name)) {
                self.fail(name, run);
            }
        }
        if !success && self.failed.len() == failed_before {
            self.fail(run, "it failed without naming a test: a build failed, or a test program died");
        } else if success && results == 0 {
            self.fail(run, "it ran no tests");
        }
    }

    /// Prints what failed and what was skipped, then the counts alone on the last line.
    pub(super) fn conclude(&self) -> ExitCode {
        for (name, why) in &self.skipped {
            println!("skipped: {name}: {why}");
        }
        for (name, why) in &self.failed {
            println!("FAILED: {name}: {why}");
        }
        println!("{}", self.summary());
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn summary(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

/// In "ok. 7 passed; 0 failed", the number before `word`.
fn count(counts: &str, word: &str) -> usize {
    let mut words = counts.split([' ', ';', '.']).filter(|word| !word.is_empty()).peekable();
    let mut last = None;
    for next in words.by_ref() {
        if next == word {
            return last.and_then(|number: &str| number.parse().ok()).unwrap_or(0);
        }
        last = Some(next);
    }
    0
}

/// A test's path, or a documentation test's file and line, as against a line of its output.
fn is_name(line: &str) -> bool {
    !line.starts_with(' ') && (!line.contains(' ') || line.contains(".rs - "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 3 tests
test a::works ... ok
test a::skipped ... ignored, wants a floppy drive
test a::breaks ... FAILED

failures:

---- a::breaks stdout ----
thread panicked

failures:
    a::breaks

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 1 test
test src/lib.rs - (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
";

    #[test]
    fn passed_failed_and_skipped_tests_are_counted_and_named() {
        let mut tally = Tally::default();
        tally.take("cargo test", OUTPUT, false);
        assert_eq!(tally.summary(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(tally.failed, [("a::breaks".to_owned(), "cargo test".to_owned())]);
        assert_eq!(tally.skipped, [("a::skipped".to_owned(), "wants a floppy drive".to_owned())]);
    }

    #[test]
    fn a_run_that_dies_without_a_failed_test_is_a_failure() {
        let mut tally = Tally::default();
        tally.take("cargo test", "test a ... ok\n", false);
        assert_eq!(tally.summary(), "0 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_run_without_tests_is_a_failure() {
        let mut tally = Tally::default();
        tally.take("the VM", "exit code 0", true);
        assert_eq!(tally.summary(), "0 passed, 1 failed, 0 skipped");
    }
}
