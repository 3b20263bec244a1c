//! Points in time as users write them.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

/// Reads a moment: RFC 3339, a date with or without a time in the local zone, seconds since 1970, or a duration such
/// as `10m` or `1h30m` that is counted back from `now`.
///
/// # Errors
/// A sentence that names what was given.
pub(crate) fn parse_when(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("'{text}' is no time: write 10m, 2024-05-01T12:00:00Z or seconds since 1970");
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    if let Some(ago) = duration(text) {
        return now.checked_sub(ago).map_err(|_| wrong());
    }
    if let Some(since_1970) = seconds(text) {
        return Timestamp::UNIX_EPOCH.checked_add(since_1970).map_err(|_| wrong());
    }
    let local =
        text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(civil::Date::into));
    let zoned = local.and_then(|local: civil::DateTime| local.to_zoned(TimeZone::system()));
    zoned.map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

/// `1700000000.25`.
fn seconds(text: &str) -> Option<SignedDuration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    Some(SignedDuration::new(whole.parse().ok()?, nanoseconds(fraction)?))
}

/// Digits after a point as nanoseconds.
fn nanoseconds(fraction: &str) -> Option<i32> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<9}").get(..9)?.parse().ok()
}

/// Go's durations: `1h30m`, `2.5s`, `100ms`.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    let mut total = SignedDuration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(number);
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let nanoseconds_of_unit: i128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let number = seconds(digits)?;
        let part = number.as_nanos().checked_mul(nanoseconds_of_unit)? / 1_000_000_000;
        let (whole, below) = (part / 1_000_000_000, part % 1_000_000_000);
        let part = SignedDuration::new(i64::try_from(whole).ok()?, i32::try_from(below).ok()?);
        total = total.checked_add(part)?;
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_when_is_understood() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (text, expect) in [
            ("10m", "2026-11-21T11:50:00Z"),
            ("1h30m", "2026-11-21T10:30:00Z"),
            ("1.5s", "2026-11-21T11:59:58.5Z"),
            ("250ms", "2026-11-21T11:59:59.75Z"),
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000.25", "2023-11-14T22:13:20.25Z"),
            ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00Z"),
            ("2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z"),
        ] {
            assert_eq!(parse_when(text, now), Ok(expect.parse().unwrap()), "{text}");
        }
        assert!(parse_when("2024-05-01", now).is_ok() && parse_when("2024-05-01T12:00", now).is_ok());
    }

    #[test]
    fn what_is_no_time_is_refused_by_name() {
        let now = Timestamp::UNIX_EPOCH;
        for bad in ["", "yesterday", "10", "10x", "m", "1..5s", "99999999999999999999s", "-"] {
            let parsed = parse_when(bad, now);
            assert!(bad == "10" || parsed.unwrap_err().contains(&format!("'{bad}'")), "{bad}");
        }
    }
}
