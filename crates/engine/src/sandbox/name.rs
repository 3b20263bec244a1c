//! The names of sandboxes: chosen by the user, or made up.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A valid sandbox name: letters, digits, `_`, `.` and `-`, the first a letter or digit, as podman has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SandboxName(String);

/// The text cannot be a sandbox's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} cannot be a name: use letters, digits, '_', '.' and '-', beginning with a letter or digit, at most 128"
)]
pub struct NameError(String);

impl SandboxName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SandboxName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let begins_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if begins_well && text.len() <= 128 && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(NameError(text))
        }
    }
}

impl From<SandboxName> for String {
    fn from(name: SandboxName) -> Self {
        name.0
    }
}

impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A made-up name out of random bytes; there are some 3,000, so a caller counts on collisions.
pub(crate) fn generate(random: [u8; 2]) -> SandboxName {
    let flavour = FLAVOURS[usize::from(random[0]) % FLAVOURS.len()];
    let pastry = PASTRIES[usize::from(random[1]) % PASTRIES.len()];
    SandboxName(format!("{flavour}_{pastry}"))
}

const FLAVOURS: [&str; 60] = [
    "airy", "amber", "baked", "bitter", "bold", "bright", "brisk", "brown", "buttery", "calm", "candied",
    "chewy", "cinnamon", "cosy", "creamy", "crisp", "crunchy", "dainty", "dusted", "fluffy", "fresh",
    "frosted", "fruity", "gentle", "gilded", "glazed", "golden", "hearty", "honeyed", "jolly", "light",
    "lively", "lucky", "malty", "mellow", "merry", "minty", "neat", "nutty", "plain", "plump", "proud",
    "quick", "quiet", "rich", "ripe", "rustic", "salted", "silky", "smooth", "snappy", "soft", "spiced",
    "sunny", "sweet", "tangy", "tender", "toasted", "warm", "zesty",
];
const PASTRIES: [&str; 52] = [
    "almond",
    "apricot",
    "baguette",
    "bagel",
    "beignet",
    "biscuit",
    "blini",
    "brioche",
    "brownie",
    "bun",
    "cake",
    "cannoli",
    "caramel",
    "cherry",
    "chouquette",
    "churro",
    "cookie",
    "cracker",
    "crepe",
    "croissant",
    "crumble",
    "crumpet",
    "donut",
    "eclair",
    "flan",
    "focaccia",
    "fritter",
    "galette",
    "hazelnut",
    "kouign",
    "macaron",
    "madeleine",
    "meringue",
    "mille",
    "muffin",
    "nougat",
    "pancake",
    "pastry",
    "pie",
    "praline",
    "pretzel",
    "profiterole",
    "pudding",
    "scone",
    "sorbet",
    "speculoos",
    "strudel",
    "tart",
    "toast",
    "truffle",
    "vanilla",
    "waffle",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_made_up_name_is_valid() {
        for a in 0..=255 {
            let name = generate([a, a.wrapping_mul(7)]);
            SandboxName::try_from(String::from(name)).unwrap();
        }
    }

    #[test]
    fn a_name_that_is_a_path_is_refused() {
        for bad in ["", ".", "..", "a/b", "-x", "a b", "é"] {
            assert!(SandboxName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
