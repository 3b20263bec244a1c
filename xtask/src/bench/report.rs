//! The page of results.

use std::fmt;
use std::time::Duration;

/// One measured thing.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) ours: String,
    pub(super) peer: String,
    /// Ours divided by the peer's.
    pub(super) ratio: Option<f64>,
    pub(super) goal: Goal,
    /// None: nothing was set out.
    pub(super) met: Option<bool>,
    pub(super) rounds: usize,
}

/// What was set out to be reached.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// At most this part of the peer's figure.
    Ratio(f64),
    /// At most so many milliseconds.
    Milliseconds(u32),
    /// At most so many microseconds longer than the peer.
    Longer(u32),
    /// At most so many megabytes (of 1,000,000 bytes).
    Megabytes(u32),
    /// Nothing: the figure is there to be seen beside the others.
    Beside,
}

impl Row {
    /// A row of two times.
    pub(super) fn times(what: &str, (ours, peer): (Duration, Duration), goal: Goal, rounds: usize) -> Self {
        let ratio = ours.as_secs_f64() / peer.as_secs_f64();
        let met = match goal {
            Goal::Ratio(most) => Some(ratio <= most),
            Goal::Milliseconds(most) => Some(ours.as_millis() < u128::from(most)),
            Goal::Longer(most) => Some(ours.saturating_sub(peer).as_micros() <= u128::from(most)),
            Goal::Megabytes(_) => Some(false),
            Goal::Beside => None,
        };
        Self {
            what: what.into(),
            ours: shown(ours),
            peer: shown(peer),
            ratio: Some(ratio),
            goal,
            met,
            rounds,
        }
    }

    /// A row of two amounts of memory, in kB as the kernel counts (1024 bytes).
    pub(super) fn memory(what: &str, ours_kb: u64, peer_kb: u64, goal_mb: u32, rounds: usize) -> Self {
        let mb = |kb: u64| kb * 1024 / 1_000_000;
        Self {
            what: what.into(),
            ours: format!("{} MB", mb(ours_kb)),
            peer: format!("{} MB", mb(peer_kb)),
            ratio: None,
            goal: Goal::Megabytes(goal_mb),
            met: Some(mb(ours_kb) <= u64::from(goal_mb)),
            rounds,
        }
    }

    /// A row of two small amounts of memory, in kB as the kernel counts (1024 bytes).
    pub(super) fn memories(what: &str, (ours_kb, peer_kb): (u32, u32), goal: Goal, rounds: usize) -> Self {
        let mb = |kb: u32| format!("{:.2} MB", f64::from(kb) * 1.024 / 1000.0);
        let ratio = f64::from(ours_kb) / f64::from(peer_kb);
        let met = match goal {
            Goal::Ratio(most) => Some(ratio <= most),
            Goal::Milliseconds(_) | Goal::Longer(_) => Some(false),
            Goal::Megabytes(most) => Some(f64::from(ours_kb) * 1.024 / 1000.0 <= f64::from(most)),
            Goal::Beside => None,
        };
        Self {
            what: what.into(),
            ours: mb(ours_kb),
            peer: mb(peer_kb),
            ratio: Some(ratio),
            goal,
            met,
            rounds,
        }
    }
}

fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds => format!("{:.2} ms", seconds * 1000.0),
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(most) => write!(f, "{most:.2} of the peer"),
            Self::Milliseconds(most) => write!(f, "{most} ms"),
            Self::Longer(most) => write!(f, "{:.2} ms more than the peer", f64::from(*most) / 1000.0),
            Self::Megabytes(most) => write!(f, "{most} MB"),
            Self::Beside => f.write_str("-"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        write!(
            f,
            "| {} | {} | {} | {ratio} | {} | {met} | {} |",
            self.what, self.ours, self.peer, self.goal, self.rounds
        )
    }
}

/// The whole page.
pub(super) fn page(machine: &str, rows: &[Row]) -> String {
    let mut page = format!(
        "# Results\n\nWritten by `cargo xtask bench`. Each figure is the median of alternating runs, ours and the peer's, on one machine.\n\n\
         {machine}\n\
         | what | ours | peer | ratio | at most | reached | runs |\n|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        page.push_str(&format!("{row}\n"));
    }
    page
}
