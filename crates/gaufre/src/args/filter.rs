//! How the filters of a list work together, as in podman.

use std::mem::discriminant;
use std::str::FromStr;

use regex_lite::Regex;

/// What an entry of a list has to be like to be shown; an enum with a variant for each key.
pub(crate) trait Filter {
    /// What is listed.
    type Entry;

    /// Whether `entry` is like that.
    fn fits(&self, entry: &Self::Entry) -> bool;

    /// Whether another filter of the same key narrows the list further. Elsewhere it widens it.
    fn narrows(&self) -> bool;
}

/// Whether `entry` is to be shown: of the filters with the same key one has to fit (of labels, all), and that for
/// each key (podman-ps(1), `--filter`).
pub(crate) fn fits_all<F: Filter>(filters: &[F], entry: &F::Entry) -> bool {
    let same_key = |filter: &F, other: &F| discriminant(filter) == discriminant(other);
    filters.iter().all(|filter| {
        filter.fits(entry)
            || (!filter.narrows() && filters.iter().any(|other| same_key(filter, other) && other.fits(entry)))
    })
}

/// A regular expression that a name has to match somewhere.
#[derive(Debug, Clone)]
pub(crate) struct NamePattern(Regex);

impl NamePattern {
    /// Whether `name` matches it.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Regex::new(text).map(Self).map_err(|error| format!("'{text}' is no regular expression: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Number {
        Is(i32),
        Above(i32),
        Label(i32),
    }

    impl Filter for Number {
        type Entry = i32;

        fn fits(&self, entry: &i32) -> bool {
            match self {
                Self::Is(number) | Self::Label(number) => entry == number,
                Self::Above(number) => entry > number,
            }
        }

        fn narrows(&self) -> bool {
            matches!(self, Self::Label(_))
        }
    }

    #[test]
    fn one_filter_of_each_key_has_to_fit_and_every_label() {
        let (one, two, above) = (Number::Is(1), Number::Is(2), Number::Above(1));
        assert!(fits_all::<Number>(&[], &1));
        let either = [one, two];
        assert!(fits_all(&either, &1) && fits_all(&either, &2) && !fits_all(&either, &3));
        let [one, two] = either;
        let both_keys = [one, above, two];
        assert!(!fits_all(&both_keys, &1) && fits_all(&both_keys, &2));
        let labels = [Number::Label(1), Number::Label(2)];
        assert!(!fits_all(&labels, &1) && !fits_all(&labels, &2));
    }

    #[test]
    fn a_name_matches_anywhere_unless_anchored() {
        let matches = |pattern: &str, name| pattern.parse::<NamePattern>().unwrap().matches(name);
        assert!(matches("cache", "my-cache-1") && matches("^cache$", "cache") && matches("a|b", "b"));
        assert!(!matches("^cache$", "cache2"));
        assert!("(".parse::<NamePattern>().unwrap_err().contains("'(' is no regular expression"));
    }
}
