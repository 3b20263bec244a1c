//! Options and operands: `--name value`, `--name=value`, `-n value`.

use std::collections::HashMap;

/// The words of a verb, read against the options that it knows.
#[derive(Debug, Default)]
pub(crate) struct Args {
    values: HashMap<&'static str, Vec<String>>,
    operands: Vec<String>,
}

/// An option's long name, its letter if it has one, and whether a value follows.
pub(crate) type Known = (&'static str, &'static str, bool);

impl Args {
    /// Reads `words` up to the `operands`-th operand, after which everything is an operand.
    pub(crate) fn read(words: &[String], known: &[Known], operands: usize) -> Result<Self, String> {
        let mut args = Self::default();
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
            let (name, inline) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let (long, takes_value) = known
                .iter()
                .find(|(long, short, _)| {
                    name.strip_prefix("--") == Some(long) || name.strip_prefix('-') == Some(short)
                })
                .map(|(long, _, takes_value)| (*long, *takes_value))
                .ok_or_else(|| format!("unknown option {word}"))?;
            let value = match (takes_value, inline) {
                (true, Some(value)) => value,
                (true, None) => words.next().cloned().ok_or_else(|| format!("{word} needs a value"))?,
                (false, None) => String::new(),
                (false, Some(_)) => return Err(format!("{name} takes no value")),
            };
            args.values.entry(long).or_default().push(value);
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
        self.values.contains_key(name)
    }

    /// The operand at `index`.
    pub(crate) fn operand(&self, index: usize, what: &str) -> Result<&str, String> {
        self.operands.get(index).map(String::as_str).ok_or_else(|| format!("{what} is missing"))
    }

    /// The operands from `index` on.
    pub(crate) fn rest(&self, index: usize) -> &[String] {
        self.operands.get(index..).unwrap_or_default()
    }
}
