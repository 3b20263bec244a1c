//! `--security-opt seccomp=FILE`: whether the file holds a profile, asked before anything is made.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxSeccomp;
use thiserror::Error;

/// A large profile has 30 KiB.
const MAX_BYTES: u64 = 1 << 20;

/// A seccomp profile that cannot be used.
#[derive(Debug, Error)]
pub enum SeccompProfileError {
    /// It cannot be read.
    #[error("cannot read the seccomp profile {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error("{path} is larger than 1 MiB: that is no seccomp profile")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is no profile.
    #[error("{path} is no seccomp profile in JSON")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: serde_json::Error,
    },
}

/// Checks that `path` holds `linux.seccomp` of the runtime specification in JSON.
///
/// # Errors
/// A file that cannot be read, is larger than 1 MiB or holds something else.
pub fn check_seccomp_profile(path: &Path) -> Result<(), SeccompProfileError> {
    let read = |source| SeccompProfileError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(SeccompProfileError::TooLarge { path: path.to_owned() });
    }
    match serde_json::from_slice::<LinuxSeccomp>(&bytes) {
        Ok(_) => Ok(()),
        Err(source) => Err(SeccompProfileError::Content { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_told_from_anything_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profile.json");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            check_seccomp_profile(&path).map_err(|error| error.to_string())
        };
        assert_eq!(said("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[]}"), Ok(()));
        for bad in ["", "deny everything", "{\"defaultAction\":\"SCMP_ACT_SHRUG\"}", "[]"] {
            assert!(said(bad).unwrap_err().contains("profile.json is no seccomp profile"), "{bad}");
        }
        assert!(said(&" ".repeat(1 << 21)).unwrap_err().contains("larger than 1 MiB"));
        let missing = check_seccomp_profile(&directory.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("cannot read the seccomp profile"), "{missing}");
    }
}
