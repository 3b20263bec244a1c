//! `cargo xtask soak`: the long forms of tests that CI runs for a moment, for as long as it takes to trust the answer.

use crate::binaries::{self, Profile, cargo};
use crate::{debian, images};
use anyhow::{Result, ensure};
use std::process::ExitCode;
use std::time::Instant;

/// How often the runtime's race is run.
const RACES: usize = 10_000;
/// How many configurations and states the fuzzer makes of each kind.
const FUZZ_CASES: usize = 200_000;

/// A test whose number of rounds an environment variable sets.
struct Soak {
    name: &'static str,
    package: &'static str,
    program: &'static str,
    /// Which tests of the program; all when it is empty.
    filter: &'static str,
    variable: &'static str,
}

const FAULTS: Soak = Soak {
    name: "faults",
    package: "gaufre-tests",
    program: "faults",
    filter: "",
    variable: "GAUFRE_SOAK_ROUNDS",
};
const RACE: Soak = Soak {
    name: "races",
    package: "gaufre-runtime",
    program: "sandbox",
    filter: "raced_links",
    variable: "GAUFRE_RACES",
};
const FUZZ: Soak = Soak {
    name: "fuzz",
    package: "gaufre-runtime",
    program: "fuzz",
    filter: "",
    variable: "GAUFRE_FUZZ_CASES",
};

/// Runs the soaks called `only`, or all: `count` kills, and the runtime's races and fuzzing. `seed` repeats the kills of
/// a former run, which printed it.
pub(crate) fn run(only: &[String], count: usize, seed: Option<u64>) -> Result<ExitCode> {
    let all = [(FAULTS, count), (RACE, RACES), (FUZZ, FUZZ_CASES)];
    for name in only {
        ensure!(
            all.iter().any(|(soak, _)| soak.name == name),
            "there is no soak called {name}: faults, races, fuzz"
        );
    }
    debian::install(&["docker-registry", "skopeo", "nftables", "util-linux"])?;
    images::make()?;
    binaries::product(Profile::Dev)?;
    let mut all_passed = true;
    for (soak, rounds) in
        all.iter().filter(|(soak, _)| only.is_empty() || only.iter().any(|name| name == soak.name))
    {
        println!("== {}: {rounds} rounds", soak.name);
        let started = Instant::now();
        let mut test = cargo();
        test.args(["test", &format!("--package={}", soak.package), &format!("--test={}", soak.program)]);
        test.args(["--", "--nocapture", "--test-threads=1", soak.filter]);
        test.env(soak.variable, rounds.to_string());
        if let Some(seed) = seed {
            test.env("GAUFRE_SOAK_SEED", seed.to_string());
        }
        let passed = test.status()?.success();
        println!(
            "== {}: {} after {} s",
            soak.name,
            if passed { "passed" } else { "FAILED" },
            started.elapsed().as_secs()
        );
        all_passed &= passed;
    }
    Ok(if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
