//! Signals by name and number, as kill(1) has them.

use gaufre_runtime::signals::from_number;
use rustix::process::Signal;

/// The names of the signals from 1 on, on x86-64 and most others: signal(7).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const ALIASES: [(&str, i32); 4] = [("CLD", 17), ("IOT", 6), ("POLL", 29), ("UNUSED", 31)];
/// As the C library counts: it keeps 32 and 33 for itself.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

/// Reads a signal: its number, or its name with or without `SIG`, in either case. None stands for signal 0, which only
/// asks whether there is somebody to send one to.
pub(crate) fn parse(word: &str) -> Result<Option<Signal>, String> {
    let unknown = || format!("unknown signal {word}");
    let number = match word.parse::<i32>() {
        Ok(number) => number,
        Err(_) => by_name(word).ok_or_else(unknown)?,
    };
    match number {
        0 => Ok(None),
        number => from_number(number).map(Some).ok_or_else(unknown),
    }
}

fn by_name(word: &str) -> Option<i32> {
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return i32::try_from(index + 1).ok();
    }
    if let Some((_, number)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(*number);
    }
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i32>().ok() };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(above), _) => RTMIN + offset(above).filter(|above| (0..=30).contains(above))?,
        (_, Some(below)) => RTMAX + offset(below).filter(|below| (-30..=0).contains(below))?,
        _ => return None,
    };
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(word: &str) -> i32 {
        parse(word).unwrap().map_or(0, Signal::as_raw)
    }

    #[test]
    fn a_signal_has_a_number_and_names() {
        for word in ["9", "KILL", "SIGKILL", "sigkill", "Kill"] {
            assert_eq!(number(word), 9, "{word}");
        }
        assert_eq!([number("TERM"), number("SIGWINCH"), number("SYS"), number("IOT")], [15, 28, 31, 6]);
        assert_eq!(
            [number("RTMIN"), number("SIGRTMIN+3"), number("RTMAX-1"), number("37")],
            [34, 37, 63, 37]
        );
        assert_eq!(number("0"), 0);
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for word in ["", "65", "-1", "NOSUCH", "RTMIN+31", "RTMIN-1", "SIG"] {
            assert!(parse(word).is_err(), "{word}");
        }
    }
}
