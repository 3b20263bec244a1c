//! `pull` of an image of over 1 GB from the same registry into an empty store, and the memory that it takes.

use super::Bench;
use super::measure::{alternate, time, time_and_memory};
use super::report::{Goal, Row};
use anyhow::Result;
use std::process::Command;
use std::time::Duration;

const ROUNDS: usize = 5;

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let image = bench.registry.image("big");
    let pull = ["pull", "--quiet", "--tls-verify=false", &image];
    let (mut our_peak_kb, mut peer_peak_kb) = (0, 0);
    let times = alternate(
        ROUNDS,
        || {
            // Nothing may be there, and not every engine calls that a success.
            let _ = bench.ours(&["rmi", "--all", "--force"]).output();
            let _ = bench.ours(&["system", "prune", "--all", "--force"]).output();
            measured(&mut bench.ours(&pull), &mut our_peak_kb)
        },
        || {
            let _ = bench.podman(&["rmi", "--all", "--force"]).output();
            measured(&mut bench.podman(&pull), &mut peer_peak_kb)
        },
    )?;
    Ok(vec![
        Row::times("`pull` of 1.2 GB into an empty store", times, Goal::Ratio(0.6), ROUNDS),
        Row::memory("the same, most memory resident", our_peak_kb, peer_peak_kb, 100, ROUNDS),
    ])
}

fn measured(pull: &mut Command, peak_kb: &mut u64) -> Result<Duration> {
    // What earlier rounds left to be written must not slow this one down.
    time(&mut Command::new("sync"))?;
    let (took, kb) = time_and_memory(pull)?;
    *peak_kb = kb.max(*peak_kb);
    Ok(took)
}
