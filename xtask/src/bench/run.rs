//! `run --rm IMAGE true`, without a network and with the bridge.

use super::Bench;
use super::measure::{alternate, time};
use super::report::{Goal, Row};
use anyhow::Result;

const ROUNDS: usize = 30;

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let image = bench.both_pull("base")?;
    let without = ["--rm", "--network=none", &image, "true"];
    let with = ["--rm", &image, "true"];
    let mut rows = Vec::new();
    for (what, arguments, goal) in [
        ("`run --rm --network none IMAGE true`", &without[..], 0.15),
        ("`run --rm IMAGE true`, bridge", &with, 0.10),
    ] {
        let times = alternate(
            ROUNDS,
            || time(&mut bench.our_run(arguments)),
            || time(&mut bench.podman_run(arguments)),
        )?;
        rows.push(Row::times(what, times, Goal::Ratio(goal), ROUNDS));
    }
    Ok(rows)
}
