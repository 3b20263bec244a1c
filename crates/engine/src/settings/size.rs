//! Sizes in bytes as users write them: `64m`, `1.5g`, `1024`.

use thiserror::Error;

/// A size that cannot be understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseSizeError {
    /// No number with a unit.
    #[error("'{0}' is not a number with an optional unit b, k, m, g, t or p, such as 512m")]
    Shape(String),
    /// More than 64 bits of bytes.
    #[error("'{0}' is more bytes than can be counted")]
    TooLarge(String),
}

/// Reads a size with an optional unit of powers of 1024 (`b`, `k`, `m`, `g`, `t`, `p`; also `kb`, `KiB`), bytes without.
///
/// # Errors
/// What is no such number, and what is more than 2^63 bytes.
pub fn parse_size(text: &str) -> Result<u64, ParseSizeError> {
    let shape = || ParseSizeError::Shape(text.to_owned());
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(shape()),
    };
    let too_large = || ParseSizeError::TooLarge(text.to_owned());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || (number.contains('.') && fraction.is_empty()) || fraction.contains('.') {
        return Err(shape());
    }
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let bytes = u128::from(whole) << shift;
    // Nine places are far below one byte of a unit that anyone gives with a fraction.
    let fraction = &fraction[..fraction.len().min(9)];
    let part = match fraction.parse::<u128>() {
        Ok(part) => (part << shift) / 10u128.pow(u32::try_from(fraction.len()).unwrap_or(9)),
        Err(_) => 0,
    };
    let limit = |bytes: &u64| i64::try_from(*bytes).is_ok();
    u64::try_from(bytes + part).ok().filter(limit).ok_or_else(too_large)
}

/// Reads `--memory-swap`: a size, or `-1` for unlimited swap.
///
/// # Errors
/// As [`parse_size`].
pub fn parse_memory_swap(text: &str) -> Result<i64, ParseSizeError> {
    match text {
        "-1" => Ok(-1),
        size => i64::try_from(parse_size(size)?).map_err(|_| ParseSizeError::TooLarge(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_in_any_case() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("10b", 10),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("2g", 2 << 30),
            ("1.5g", 3 << 29),
            ("0.5k", 512),
            ("1 k", 1024),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_by_name() {
        for bad in
            ["", "m", "-1", "1x", "1.2.3m", "1..2", ".5g", "5.", "1e3", "99999999999999999999", "9999999p"]
        {
            assert!(parse_size(bad).unwrap_err().to_string().contains(&format!("'{bad}'")), "{bad}");
        }
    }

    #[test]
    fn minus_one_means_unlimited_swap_only() {
        assert_eq!(parse_memory_swap("-1"), Ok(-1));
        assert_eq!(parse_memory_swap("1g"), Ok(1 << 30));
        assert!(parse_memory_swap("-2").is_err());
    }
}
