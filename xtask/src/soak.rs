//! `cargo xtask soak`: the end-to-end test of faults, for as long as it takes to trust the answer.

use crate::binaries::{self, Profile, cargo};
use crate::{debian, images, peers};
use anyhow::Result;
use std::process::ExitCode;

/// Kills `count` times; prints the seed that repeats the run as the test does.
pub(crate) fn run(count: usize, seed: Option<u64>) -> Result<ExitCode> {
    debian::install(&["docker-registry", "skopeo", "nftables", "util-linux"])?;
    images::make()?;
    binaries::product(Profile::Dev)?;
    peers::drivers::run()?;
    let mut test = cargo();
    test.args(["test", "--package=gaufre-tests", "--test=faults", "--", "--nocapture", "--test-threads=1"]);
    test.env("GAUFRE_SOAK_ROUNDS", count.to_string());
    if let Some(seed) = seed {
        test.env("GAUFRE_SOAK_SEED", seed.to_string());
    }
    Ok(if test.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
