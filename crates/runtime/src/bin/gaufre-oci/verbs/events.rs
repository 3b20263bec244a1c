//! events: what a container uses, and when it ran out of memory, one JSON object in a line.

use std::time::{Duration, Instant};

use gaufre_runtime::cgroup::{OomWatch, Stats};
use gaufre_runtime::state::{Process, State, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::args::{Args, flag, value};
use crate::command::{Command, Outcome, print};
use crate::global::Global;

pub(crate) const EVENTS: Command = Command {
    name: "events",
    operands: "ID",
    about: "Print what a container uses, again and again until it ends",
    options: &[
        value("interval", "", "TIME", "how often: 500ms, 5s, 1m (default 5s)"),
        flag("stats", "", "print it once"),
    ],
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    args.no_more(1)?;
    let interval = duration(args.value("interval").unwrap_or("5s"))?;
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    if !matches!(state_dir.status(&state), Status::Created | Status::Running | Status::Paused) {
        // containerd's shim looks for these words.
        return Err(format!("container with id {} is not running", state.id).into());
    }
    if args.has("stats") {
        return stats(&state);
    }
    watch(&state, interval)
}

fn stats(state: &State) -> Outcome {
    event(&Event { kind: "stats", id: &state.id, data: Some(state.cgroup.stats()) })
}

/// One line, in runc's form.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Stats>,
}

fn event(event: &Event<'_>) -> Outcome {
    print(&format!("{}\n", serde_json::to_string(event)?))
}

fn watch(state: &State, interval: Duration) -> Outcome {
    let Some(pidfd) = state.process.and_then(Process::open) else { return Ok(0) };
    let watch = state.cgroup.watch_oom();
    let mut oom =
        watch.map_err(|error| format!("could not watch {} run out of memory: {error}", state.id))?;
    let mut next = Instant::now() + interval;
    loop {
        let pause = Timespec::try_from(next.saturating_duration_since(Instant::now()))?;
        let mut polled = vec![PollFd::new(&pidfd, PollFlags::IN)];
        polled.extend(oom.as_ref().map(OomWatch::poll_fd));
        match poll(&mut polled, Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ended = polled.first().is_some_and(|process| !process.revents().is_empty());
        // Its last word, too: the first process may be the one that was killed.
        match oom.as_mut().map_or(Ok(false), OomWatch::happened) {
            Ok(true) => event(&Event { kind: "oom", id: &state.id, data: None }).map(drop)?,
            Ok(false) => {}
            // There is nothing to be told of a group that is gone.
            Err(_) => oom = None,
        }
        if ended {
            return Ok(0);
        }
        if Instant::now() >= next {
            stats(state)?;
            next += interval;
        }
    }
}

/// A time as Go has it: `500ms`, `1m30s`; a number alone is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("--interval: {text} is not a time, as 5s is");
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into())).filter(|time| !time.is_zero()).ok_or_else(wrong);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let letters =
            after.len() - after.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(wrong()),
        };
        total = unit.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = after;
    }
    if total.is_zero() { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_writes_them() {
        for (text, milliseconds) in [("5s", 5000), ("500ms", 500), ("1m30s", 90_000), ("2", 2000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "0", "0s", "5x", "s", "-1s", "5s5"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
