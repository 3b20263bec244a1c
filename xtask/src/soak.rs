//! `cargo xtask soak`: the long forms of tests that CI runs for a moment, for as long as it takes to trust the answer.

use crate::binaries::{self, Profile, cargo};
use crate::{debian, images, peers};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::process::ExitCode;
use std::time::Instant;

/// How many containers are run in a row, and as many again at a time.
const RUNS: usize = 5_000;
/// How many are run at a time.
const RUNS_AT_A_TIME: usize = 100;
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
    /// Run containers in a row and many at a time, and look for what is left
    Runs,
    /// Kill the runtime, and the container's process, at each system call of create
    Killed,
    /// Race the runtime for paths within the container and for what it writes to
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

/// A test whose number of rounds, and what else it counts, environment variables set.
struct Repeated {
    package: &'static str,
    /// None: those within the package's library.
    program: Option<&'static str>,
    /// Which tests of the program; all when it is empty.
    filter: &'static str,
    numbers: Vec<(&'static str, usize)>,
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
        let races = || vec![("GAUFRE_RACES", RACES)];
        let (package, program, filter, numbers) = match self {
            Self::Faults => ("gaufre-tests", "faults", "", vec![("GAUFRE_SOAK_ROUNDS", kills)]),
            Self::Runs => {
                let numbers = vec![("GAUFRE_RUNS", RUNS), ("GAUFRE_RUNS_AT_A_TIME", RUNS_AT_A_TIME)];
                ("gaufre-runtime", "runs", "", numbers)
            }
            Self::Killed => ("gaufre-runtime", "killed", "", vec![("GAUFRE_KILL_STEP", 1)]),
            Self::Races => {
                let (package, filter) = ("gaufre-runtime", "raced");
                let within = Repeated { package, program: None, filter, numbers: races() };
                if !within.run(seed)? {
                    return Ok(false);
                }
                (package, "sandbox", filter, races())
            }
            Self::Fuzz => ("gaufre-runtime", "fuzz", "", vec![("GAUFRE_FUZZ_CASES", FUZZ_CASES)]),
            Self::FuzzLayers => ("gaufre-lazy", "fuzz", "", vec![("GAUFRE_FUZZ_CASES", FUZZ_CASES)]),
            Self::Index => ("gaufre-store", "index", "", vec![("GAUFRE_INDEX_CASES", INDEX_CASES)]),
            Self::Filler => ("gaufre-lazy", "filling", "", vec![("GAUFRE_FILL_KILLS", kills)]),
            Self::Drivers => return peers::drivers::run(),
        };
        Repeated { package, program: Some(program), filter, numbers }.run(seed)
    }
}

impl Repeated {
    fn run(&self, seed: Option<u64>) -> Result<bool> {
        self.numbers.iter().for_each(|(variable, number)| println!("{variable}={number}"));
        let mut test = cargo();
        test.args(["test", &format!("--package={}", self.package)]);
        test.arg(self.program.map_or("--lib".to_owned(), |program| format!("--test={program}")));
        test.args(["--", "--nocapture", "--test-threads=1", self.filter]);
        test.envs(self.numbers.iter().map(|(variable, number)| (variable, number.to_string())));
        if let Some(seed) = seed {
            test.env("GAUFRE_SOAK_SEED", seed.to_string());
        }
        Ok(test.status()?.success())
    }
}
