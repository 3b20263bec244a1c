//! Signals by name and number, as in signal(7).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names of the signals 1 to 31 in their order, without `SIG`. The numbers are those of x86-64 and aarch64.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const ALIASES: [(&str, i32); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];
/// glibc keeps 32 and 33 for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// A signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(i32);

impl Signal {
    /// SIGHUP.
    pub const HUP: Self = Self(1);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGQUIT.
    pub const QUIT: Self = Self(3);
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGTERM.
    pub const TERM: Self = Self(15);

    /// The signal of this number, where there is one (1 to 64).
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        (1..=RTMAX).contains(&number).then_some(Self(number))
    }

    /// The signal's number, 1 to 64.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

/// A signal that does not exist.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no signal '{0}'")]
pub struct ParseSignalError(String);

impl FromStr for Signal {
    type Err = ParseSignalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseSignalError(text.to_owned());
        if let Ok(number) = text.parse::<i32>() {
            return Self::from_number(number).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let standard =
            NAMES.iter().position(|known| *known == name).and_then(|at| i32::try_from(at + 1).ok());
        let number = standard.or_else(|| ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, n)| *n));
        number.or_else(|| real_time(name)).map(Self).ok_or_else(unknown)
    }
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`.
fn real_time(name: &str) -> Option<i32> {
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => RTMIN,
        (_, Some("")) => RTMAX,
        (Some(up), _) => RTMIN.checked_add(up.strip_prefix('+')?.parse().ok().filter(|n| *n >= 0)?)?,
        (_, Some(down)) => RTMAX.checked_sub(down.strip_prefix('-')?.parse().ok().filter(|n| *n >= 0)?)?,
        _ => return None,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = usize::try_from(self.0 - 1).ok().and_then(|at| NAMES.get(at));
        match (name, self.0 - RTMIN) {
            (Some(name), _) => write!(f, "SIG{name}"),
            (None, 0) => f.write_str("SIGRTMIN"),
            (None, above @ 1..) => write!(f, "SIGRTMIN+{above}"),
            (None, _) => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_name_and_number() {
        for text in ["TERM", "SIGTERM", "sigterm", "15"] {
            assert_eq!(text.parse(), Ok(Signal::TERM));
        }
        assert_eq!("SYS".parse::<Signal>().unwrap().number(), 31);
        assert_eq!("SIGRTMIN+3".parse::<Signal>().unwrap().number(), 37);
        assert_eq!("RTMAX-1".parse::<Signal>().unwrap().number(), 63);
    }

    #[test]
    fn every_signal_is_read_back_from_what_is_printed() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
    }

    #[test]
    fn what_is_no_signal_is_refused_by_name() {
        for bad in ["0", "65", "-9", "SIGFOO", "", "RTMIN+99", "RTMAX+1", "RTMIN-1", "RTMIN+-1"] {
            assert!(bad.parse::<Signal>().unwrap_err().to_string().contains(&format!("'{bad}'")), "{bad}");
        }
    }
}
