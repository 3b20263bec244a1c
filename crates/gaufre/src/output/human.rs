//! Times and sizes in the words of podman's tables.

use jiff::Timestamp;

/// The time since `then`: `3 seconds ago`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(then, now))
}

/// The time from `then` to `now` in its largest unit, as Docker's go-units words it.
pub(crate) fn duration(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours <= 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// As Go prints a time, and podman with it: `2026-11-21 14:46:13.25 +0000 UTC`.
pub(crate) fn go_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}

/// Bytes in powers of 1000: `1.99 MB`, with four digits at most.
pub(crate) fn si_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut divisor = 1_u64;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if bytes / divisor < 1000 {
            break;
        }
        divisor = divisor.saturating_mul(1000);
        unit = next;
    }
    // Three significant digits, without floating point: 1987655 is 1.99 MB.
    let whole = bytes / divisor;
    let places = match whole {
        _ if divisor == 1 => 0,
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    };
    let factor = 10_u128.pow(places);
    let rounded = (u128::from(bytes) * factor + u128::from(divisor) / 2) / u128::from(divisor);
    let number = match places {
        0 => rounded.to_string(),
        _ => {
            let places = usize::try_from(places).unwrap_or(0);
            let text = format!("{}.{:0places$}", rounded / factor, rounded % factor);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    };
    format!("{number} {unit}")
}

/// The first 12 digits of a digest or ID.
pub(crate) fn short_digest(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: i64) -> String {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        ago(Timestamp::from_second(2_000_000_000 - seconds).unwrap(), now)
    }

    #[test]
    fn durations_are_worded_as_podman_words_them() {
        for (seconds, words) in [
            (0, "Less than a second ago"),
            (-5, "Less than a second ago"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "About a minute ago"),
            (120, "2 minutes ago"),
            (3599, "59 minutes ago"),
            (3600, "About an hour ago"),
            (2 * 3600, "2 hours ago"),
            (50 * 3600, "2 days ago"),
            (15 * 86400, "2 weeks ago"),
            (90 * 86400, "3 months ago"),
            (800 * 86400, "2 years ago"),
        ] {
            assert_eq!(after(seconds), words);
        }
    }

    #[test]
    fn a_time_is_printed_as_go_prints_it() {
        let time = |nanoseconds| Timestamp::new(1_795_272_373, nanoseconds).unwrap();
        assert_eq!(go_time(time(0)), "2026-11-21 14:46:13 +0000 UTC");
        assert_eq!(go_time(time(250_000_000)), "2026-11-21 14:46:13.25 +0000 UTC");
    }

    #[test]
    fn sizes_have_three_significant_digits() {
        for (bytes, words) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1 kB"),
            (1_987_655, "1.99 MB"),
            (12_340_000, "12.3 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(si_size(bytes), words);
        }
    }

    #[test]
    fn a_short_digest_never_panics() {
        assert_eq!(short_digest("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_digest("0123"), "0123");
    }
}
