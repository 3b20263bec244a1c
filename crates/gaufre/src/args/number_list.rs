//! Lists of numbers and ranges, as the kernel writes and reads them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Numbers of processors or memory nodes, such as `0-2,4` (cpuset(7), List Format).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NumberList {
    ranges: Vec<RangeInclusive<u16>>,
    text: String,
}

impl FromStr for NumberList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // parse() would also take a sign, which the kernel does not.
        let number =
            |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(first..=last)
        };
        match text.split(',').map(range).collect() {
            Some(ranges) => Ok(Self { ranges, text: text.to_owned() }),
            None => Err(format!("'{text}' is not a list of numbers and ranges, such as 0-2,4")),
        }
    }
}

/// As it was written.
impl fmt::Display for NumberList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl NumberList {
    /// How many there are, when none is named twice.
    pub(super) fn count(&self) -> u32 {
        self.ranges.iter().map(|range| u32::from(range.end() - range.start()) + 1).sum()
    }

    /// The first number here that `other` does not have.
    pub(super) fn first_not_in(&self, other: &Self) -> Option<u16> {
        let has = |number: &u16| other.ranges.iter().any(|range| range.contains(number));
        self.ranges.iter().cloned().flatten().find(|number| !has(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        let list: NumberList = "0-2,4".parse().unwrap();
        assert_eq!((list.count(), list.to_string().as_str()), (4, "0-2,4"));
        assert_eq!(list.first_not_in(&"0-3".parse().unwrap()), Some(4));
        assert_eq!(list.first_not_in(&"0-1,2-9".parse().unwrap()), None);
    }

    #[test]
    fn what_is_no_list_is_refused_by_name() {
        for bad in ["", "x", "2-1", "1,", "-1", "1-", "0 1", "+1", "65536"] {
            let refusal = bad.parse::<NumberList>().unwrap_err();
            assert!(refusal.starts_with(&format!("'{bad}' is not a list")), "{refusal}");
        }
    }
}
