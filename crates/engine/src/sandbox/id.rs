//! The identity of a sandbox.

use serde::{Deserialize, Serialize};
use std::fmt;

/// 256 random bits in lower-case hexadecimal, as every container engine names its containers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SandboxId(String);

/// The text is not the ID of a sandbox.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a container ID: one has 64 hexadecimal digits")]
pub struct IdError(String);

impl SandboxId {
    /// A new random ID.
    ///
    /// # Errors
    /// When the kernel gives no random bytes (getrandom(2)).
    pub(crate) fn random() -> std::io::Result<Self> {
        let mut bytes = [0_u8; 32];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
        }
        Ok(Self(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
            text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
            text
        })))
    }

    /// The 12 digits that tables show.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SandboxId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text))
        } else {
            Err(IdError(text))
        }
    }
}

impl From<SandboxId> for String {
    fn from(id: SandboxId) -> Self {
        id.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_random_ids_differ_and_read_back() {
        let (a, b) = (SandboxId::random().unwrap(), SandboxId::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(SandboxId::try_from(a.to_string()).unwrap(), a);
    }

    #[test]
    fn a_path_is_not_an_id() {
        SandboxId::try_from("../".repeat(22)[..64].to_owned()).unwrap_err();
        SandboxId::try_from(String::new()).unwrap_err();
    }
}
