//! `--tls-verify`, `--cert-dir`, `--authfile`, `--creds`, `--registry-timeout`: how a registry is reached.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// How a registry is reached, where it differs from the configuration files.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryAccess {
    /// Whether certificates are checked and plain HTTP refused; registries.conf decides where absent.
    pub tls_verify: Option<bool>,
    /// Directory with certificates and keys for this registry.
    pub cert_dir: Option<PathBuf>,
    /// File with credentials, podman's auth.json.
    pub auth_file: Option<PathBuf>,
    /// User and password.
    pub creds: Option<(String, String)>,
    /// How long the registry may be silent (seconds), when not for the usual time.
    pub timeout_s: Option<u32>,
}

// A password must not reach a log through a debug print.
impl fmt::Debug for RegistryAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAccess")
            .field("tls_verify", &self.tls_verify)
            .field("cert_dir", &self.cert_dir)
            .field("auth_file", &self.auth_file)
            .field("creds", &self.creds.as_ref().map(|(user, _)| (user, "***")))
            .field("timeout_s", &self.timeout_s)
            .finish()
    }
}

/// Credentials that cannot be understood; the text is not repeated, as it may hold a password.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("credentials are given as USER:PASSWORD")]
pub struct ParseCredentialsError;

/// Splits `USER:PASSWORD`; the password may contain colons.
///
/// # Errors
/// No colon, or no user before it.
pub fn parse_credentials(text: &str) -> Result<(String, String), ParseCredentialsError> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => Ok((user.to_owned(), password.to_owned())),
        _ => Err(ParseCredentialsError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_contain_colons_and_is_never_printed() {
        let creds = parse_credentials("ann:se:cret").unwrap();
        assert_eq!(creds, ("ann".to_owned(), "se:cret".to_owned()));
        let access = RegistryAccess { creds: Some(creds), ..RegistryAccess::default() };
        assert!(!format!("{access:?}").contains("cret"));
        assert!(!parse_credentials("secret").unwrap_err().to_string().contains("secret"));
        assert!(parse_credentials(":x").is_err());
    }
}
