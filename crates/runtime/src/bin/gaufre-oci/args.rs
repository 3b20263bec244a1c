//! Options and operands: `--name value`, `--name=value`, `-n value`, and letters together, `-dt`.

use std::collections::HashMap;

/// An option that a verb knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its name, after two dashes.
    pub(crate) name: &'static str,
    /// Its letter, after one dash; empty if it has none.
    pub(crate) letter: &'static str,
    /// What its value is; empty for one that is just there or not.
    pub(crate) value: &'static str,
    /// What it does.
    pub(crate) help: &'static str,
}

/// An option with a value.
pub(crate) const fn value(
    name: &'static str,
    letter: &'static str,
    value: &'static str,
    help: &'static str,
) -> Known {
    Known { name, letter, value, help }
}

/// An option without one.
pub(crate) const fn flag(name: &'static str, letter: &'static str, help: &'static str) -> Known {
    Known { name, letter, value: "", help }
}

/// The words of a verb, read against the options that it knows.
#[derive(Debug, Default)]
pub(crate) struct Args {
    values: HashMap<&'static str, Vec<String>>,
    operands: Vec<String>,
}

impl Args {
    /// Reads `words` up to the `operands`-th operand, after which everything is an operand; 0: all of them are.
    pub(crate) fn read(words: &[String], known: &[Known], operands: usize) -> Result<Self, String> {
        let mut args = Self::default();
        if operands == 0 {
            args.operands.extend_from_slice(words);
            return Ok(args);
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                args.operands.extend(words.cloned());
                break;
            }
            if !word.starts_with('-') || word == "-" {
                args.operands.push(word.clone());
                if args.operands.len() >= operands {
                    args.operands.extend(words.cloned());
                    break;
                }
                continue;
            }
            if let Some(letters) = cluster(word, known) {
                for letter in letters {
                    args.values.entry(letter).or_default().push("true".to_owned());
                }
                continue;
            }
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let option = known
                .iter()
                .find(|option| {
                    name.strip_prefix("--") == Some(option.name)
                        || (!option.letter.is_empty() && name.strip_prefix('-') == Some(option.letter))
                })
                .ok_or_else(|| format!("unknown option {word}"))?;
            let value = match (option.value.is_empty(), inline) {
                (false, Some(value)) => value,
                (false, None) => words.next().cloned().ok_or_else(|| format!("{word} needs a value"))?,
                (true, None) => "true".to_owned(),
                (true, Some(value)) if matches!(value.as_str(), "true" | "false") => value,
                (true, Some(value)) => return Err(format!("{name} is true or false, not {value}")),
            };
            args.values.entry(option.name).or_default().push(value);
        }
        Ok(args)
    }

    /// The last value of an option.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// All values of an option.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether an option was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value != "false")
    }

    /// The operand at `index`.
    pub(crate) fn operand(&self, index: usize, what: &str) -> Result<&str, String> {
        self.operands.get(index).map(String::as_str).ok_or_else(|| format!("{what} is missing"))
    }

    /// The operands from `index` on.
    pub(crate) fn rest(&self, index: usize) -> &[String] {
        self.operands.get(index..).unwrap_or_default()
    }

    /// Refuses operands from `index` on.
    pub(crate) fn no_more(&self, index: usize) -> Result<(), String> {
        match self.rest(index).first() {
            Some(word) => Err(format!("unexpected argument {word}")),
            None => Ok(()),
        }
    }

    /// An option's value as a number or another thing that is read from text.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("--{name}: {value} is not a number in range"))
    }
}

/// Several letters behind one dash, none of which takes a value.
fn cluster(word: &str, known: &[Known]) -> Option<Vec<&'static str>> {
    let letters = word.strip_prefix('-').filter(|letters| letters.len() > 1 && !letters.starts_with('-'))?;
    let by_letter = |letter: char| {
        let found = known.iter().find(|option| option.letter.chars().eq([letter]))?;
        found.value.is_empty().then_some(found.name)
    };
    letters.chars().map(by_letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[
        value("bundle", "b", "DIR", ""),
        value("preserve-fds", "", "N", ""),
        flag("detach", "d", ""),
        flag("tty", "t", ""),
    ];

    fn read(line: &str, operands: usize) -> Result<Args, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Args::read(&words, KNOWN, operands)
    }

    #[test]
    fn a_value_follows_or_is_joined_by_an_equals_sign() {
        for line in ["--bundle /b id", "--bundle=/b id", "-b /b id", "-b=/b id", "id --bundle /b"] {
            let args = read(line, 9).unwrap();
            assert_eq!((args.value("bundle"), args.operand(0, "id")), (Some("/b"), Ok("id")), "{line}");
        }
        assert_eq!(read("--bundle", 9).unwrap_err(), "--bundle needs a value");
    }

    #[test]
    fn letters_may_stand_together() {
        let args = read("-dt id", 9).unwrap();
        assert!(args.has("detach") && args.has("tty"));
        assert_eq!(read("-dx id", 9).unwrap_err(), "unknown option -dx");
    }

    #[test]
    fn a_flag_may_say_true_or_false() {
        assert!(read("--tty=true", 9).unwrap().has("tty"));
        assert!(!read("--tty=false", 9).unwrap().has("tty"));
        assert!(read("--tty=maybe", 9).is_err());
    }

    #[test]
    fn the_command_s_own_options_are_left_alone() {
        let args = read("-d id ls -t --", 2).unwrap();
        assert_eq!(args.rest(1), ["ls", "-t", "--"]);
        assert!(!args.has("tty"));
        assert_eq!(read("id -- -d", 2).unwrap().rest(1), ["-d"]);
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        let error = read("--preserve-fds -1", 9).unwrap().parsed::<u16>("preserve-fds").unwrap_err();
        assert_eq!(error, "--preserve-fds: -1 is not a number in range");
    }
}
