//! `cargo xtask soak`: the long forms of tests that CI runs for a moment, for as long as it takes to trust the answer.

use crate::binaries::{self, Profile, cargo};
use crate::{debian, images, peers};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::process::ExitCode;
use std::time::Instant;

/// How often the runtime's race is run.
const RACES: usize = 10_000;
/// How many configurations and states the fuzzer makes of each kind.
const FUZZ_CASES: usize = 200_000;

/// How many layers are unpacked and indexed.
const INDEX_CASES: usize = 20_000;

/// A soak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Soak {
    /// Kill our processes again and again
    Faults,
    /// Race the runtime for a path within the container
    Races,
    /// Change configurations and state files at random
    Fuzz,
    /// Change what layers' indexes and frames are read from at random
    FuzzLayers,
    /// Compare unpacked and indexed layers made at random
    Index,
    /// Kill the filler of a layer again and again
    Filler,
    /// Have the newest podman and containerd drive the runtime
    Drivers,
}

/// A test whose number of rounds an environment variable sets.
struct Repeated {
    package: &'static str,
    program: &'static str,
    /// Which tests of the program; all when it is empty.
    filter: &'static str,
    variable: &'static str,
    rounds: usize,
}

/// Runs the soaks in `only`, or all; `kills` for the faults. `seed` repeats the kills of a former run, which printed it.
pub(crate) fn run(only: &[Soak], kills: usize, seed: Option<u64>) -> Result<ExitCode> {
    debian::install(&["docker-registry", "skopeo", "nftables", "util-linux"])?;
    images::make()?;
    binaries::product(Profile::Dev)?;
    let mut all_passed = true;
    for soak in Soak::value_variants().iter().filter(|soak| only.is_empty() || only.contains(soak)) {
        let name = soak.to_possible_value().context("every soak has a name")?;
        let name = name.get_name();
        println!("== {name}");
        let started = Instant::now();
        let passed = soak.run(kills, seed)?;
        let verdict = if passed { "passed" } else { "FAILED" };
        println!("== {name}: {verdict} after {} s", started.elapsed().as_secs());
        all_passed &= passed;
    }
    Ok(if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Soak {
    fn run(self, kills: usize, seed: Option<u64>) -> Result<bool> {
        let (package, program, filter, variable, rounds) = match self {
            Self::Faults => ("gaufre-tests", "faults", "", "GAUFRE_SOAK_ROUNDS", kills),
            Self::Races => ("gaufre-runtime", "sandbox", "raced_links", "GAUFRE_RACES", RACES),
            Self::Fuzz => ("gaufre-runtime", "fuzz", "", "GAUFRE_FUZZ_CASES", FUZZ_CASES),
            Self::FuzzLayers => ("gaufre-lazy", "fuzz", "", "GAUFRE_FUZZ_CASES", FUZZ_CASES),
            Self::Index => ("gaufre-store", "index", "", "GAUFRE_INDEX_CASES", INDEX_CASES),
            Self::Filler => ("gaufre-lazy", "filling", "", "GAUFRE_FILL_KILLS", kills),
            Self::Drivers => return peers::drivers::run(),
        };
        Repeated { package, program, filter, variable, rounds }.run(seed)
    }
}

impl Repeated {
    fn run(&self, seed: Option<u64>) -> Result<bool> {
        println!("{} rounds", self.rounds);
        let mut test = cargo();
        test.args(["test", &format!("--package={}", self.package), &format!("--test={}", self.program)]);
        test.args(["--", "--nocapture", "--test-threads=1", self.filter]);
        test.env(self.variable, self.rounds.to_string());
        if let Some(seed) = seed {
            test.env("GAUFRE_SOAK_SEED", seed.to_string());
        }
        Ok(test.status()?.success())
    }
}
