//! `ps` with 200 running containers.

use super::Bench;
use super::measure::{alternate, time};
use super::report::{Goal, Row};
use anyhow::{Result, ensure};

const CONTAINERS: usize = 200;
const ROUNDS: usize = 20;

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let image = bench.both_pull("base")?;
    let sleep = ["--detach", "--network=none", &image, "sleep", "3600"];
    for _ in 0..CONTAINERS {
        time(&mut bench.our_run(&sleep))?;
        time(&mut bench.podman_run(&sleep))?;
    }
    let listed = String::from_utf8_lossy(&bench.ours(&["ps", "--quiet"]).output()?.stdout).lines().count();
    ensure!(listed == CONTAINERS, "{listed} of our {CONTAINERS} containers are running");
    let times = alternate(ROUNDS, || time(&mut bench.ours(&["ps"])), || time(&mut bench.podman(&["ps"])))?;
    time(&mut bench.view.wrap(&bench.ours(&["rm", "--all", "--force", "--time=0"])))?;
    time(&mut bench.podman(&["rm", "--all", "--force", "--time=0"]))?;
    Ok(vec![Row::times("`ps` with 200 running containers", times, Goal::Milliseconds(10), ROUNDS)])
}
