//! Digests: SHA-256 only, and a hasher that counts what passes.

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256};

/// Why a digest is refused.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// Not `algorithm:hex`.
    #[error("{0:?} is no digest")]
    Malformed(String),
    /// An algorithm other than SHA-256.
    #[error("digest {0} uses an algorithm other than sha256, the only one supported")]
    Algorithm(String),
}

/// Reads a SHA-256 digest (`sha256:` and 64 lower case hexadecimal digits; OCI image specification, descriptor).
///
/// # Errors
/// [`DigestError`] for malformed text and for every other algorithm, which is named.
pub fn parse_digest(text: &str) -> Result<Digest, DigestError> {
    let digest =
        Digest::try_from(text).map_err(|_| DigestError::Malformed(text.chars().take(100).collect()))?;
    require_sha256(&digest)?;
    Ok(digest)
}

/// Refuses a digest of any other algorithm by name.
///
/// # Errors
/// [`DigestError::Algorithm`].
pub fn require_sha256(digest: &Digest) -> Result<(), DigestError> {
    match digest.algorithm() {
        DigestAlgorithm::Sha256 => Ok(()),
        _ => Err(DigestError::Algorithm(digest.as_ref().chars().take(200).collect())),
    }
}

/// The SHA-256 digest of `bytes`.
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// A SHA-256 over a stream that also counts its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hasher {
    state: Sha256,
    len_bytes: u64,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.len_bytes += bytes.len() as u64;
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    pub(crate) fn finish(self) -> Digest {
        from_sha256(&self.state.finalize())
    }
}

fn from_sha256(hash: &[u8]) -> Digest {
    let hex = hex::encode(hash);
    match hex.parse::<oci_spec::image::Sha256Digest>() {
        Ok(digest) => digest.into(),
        // 32 bytes are always 64 hexadecimal digits.
        Err(_) => unreachable!("a SHA-256 is 64 hexadecimal digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::{DigestError, digest_of, parse_digest};

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let known = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest_of(b"").as_ref(), known);
        assert_eq!(parse_digest(known).unwrap(), digest_of(b""));
    }

    #[test]
    fn another_algorithm_is_refused_by_name() {
        let sha512 = format!("sha512:{}", "0".repeat(128));
        assert!(matches!(parse_digest(&sha512), Err(DigestError::Algorithm(name)) if name == sha512));
        assert!(matches!(parse_digest("sha256:00"), Err(DigestError::Malformed(_))));
        assert!(matches!(parse_digest("sha256:../../etc/passwd"), Err(DigestError::Malformed(_))));
    }
}
