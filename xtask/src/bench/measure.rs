//! Times commands, and watches how much memory they take.

use anyhow::{Context, Result, bail};
use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The median of each of two kinds of run, made in turns: one unmeasured round, then `rounds`.
pub(super) fn alternate(
    rounds: usize,
    mut ours: impl FnMut() -> Result<Duration>,
    mut peer: impl FnMut() -> Result<Duration>,
) -> Result<(Duration, Duration)> {
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (our_time, peer_time) = (ours()?, peer()?);
        if round > 0 {
            our_times.push(our_time);
            peer_times.push(peer_time);
        }
    }
    Ok((median(our_times), median(peer_times)))
}

/// The middle one, or the upper of the two in the middle.
pub(super) fn median<T: Ord + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// How long `command` takes from before its start to after its end; it has to succeed.
pub(super) fn time(command: &mut Command) -> Result<Duration> {
    let started = Instant::now();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{command:?} could not be started"))?;
    let took = started.elapsed();
    succeed(command, output.status, &String::from_utf8_lossy(&output.stderr))?;
    Ok(took)
}

/// As [`time`], and the most memory that was resident, in kB. Only for commands of seconds: it looks every 2 ms.
pub(super) fn time_and_memory(command: &mut Command) -> Result<(Duration, u64)> {
    let started = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("{command:?} could not be started"))?;
    let mut peak_kb = 0;
    loop {
        peak_kb = peak_kb.max(high_water_kb(&child).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            let took = started.elapsed();
            succeed(command, status, "")?;
            return Ok((took, peak_kb));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn succeed(command: &Command, status: ExitStatus, said: &str) -> Result<()> {
    if !status.success() {
        bail!("{command:?} failed ({status}): {said}");
    }
    Ok(())
}

/// The kernel's own high-water mark of resident memory (proc(5), `VmHWM`), which only grows.
fn high_water_kb(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![5, 1, 3]), 3);
        assert_eq!(median::<u32>(Vec::new()), 0);
    }

    #[test]
    fn the_first_round_is_not_counted() {
        let mut first = true;
        let ours = || Ok(Duration::from_millis(if std::mem::take(&mut first) { 900 } else { 2 }));
        let (ours, peer) = alternate(3, ours, || Ok(Duration::from_millis(4))).unwrap();
        assert_eq!((ours.as_millis(), peer.as_millis()), (2, 4));
    }

    #[test]
    fn the_memory_of_a_command_is_seen() {
        let (_, peak_kb) = time_and_memory(Command::new("sleep").arg("0.05")).unwrap();
        assert!(peak_kb > 100, "{peak_kb}");
    }
}
