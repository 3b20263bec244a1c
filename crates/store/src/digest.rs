//! Digests as the store uses them: SHA-256 only, because their hexadecimal form names files.

use std::fmt::Write as _;
use std::str::FromStr;

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256};

/// A digest whose algorithm the store does not keep.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the digest {digest} is not SHA-256, the only kind that the store keeps")]
pub struct UnsupportedDigest {
    digest: String,
}

/// The 64 hexadecimal digits of a SHA-256 digest; safe as a file name.
pub(crate) fn hex(digest: &Digest) -> Result<&str, UnsupportedDigest> {
    match digest.algorithm() {
        DigestAlgorithm::Sha256 => Ok(digest.digest()),
        _ => Err(UnsupportedDigest { digest: digest.to_string() }),
    }
}

/// The digest that a file name of 64 hexadecimal digits stands for; `None` for any other name.
pub(crate) fn from_hex(name: &str) -> Option<Digest> {
    (name.len() == 64).then(|| Digest::from_str(&format!("sha256:{name}")).ok()).flatten()
}

/// The SHA-256 digest of `bytes`.
pub(crate) fn of(bytes: &[u8]) -> Option<Digest> {
    from_hash(&Sha256::digest(bytes))
}

/// The digest with these 32 bytes.
pub(crate) fn from_hash(hash: &[u8]) -> Option<Digest> {
    let mut text = String::with_capacity(64);
    for byte in hash {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    from_hex(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sha256_names_a_file() {
        let sha512 = Digest::from_str(&format!("sha512:{}", "a".repeat(128))).unwrap();
        assert!(hex(&sha512).unwrap_err().to_string().contains("not SHA-256"));
        assert!(from_hex("../../etc/passwd").is_none());
        assert!(from_hex(&"A".repeat(64)).is_none());
        let empty = of(b"").unwrap();
        assert_eq!(hex(&empty).unwrap(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
