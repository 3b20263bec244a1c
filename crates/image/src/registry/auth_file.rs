//! podman's auth.json and Docker's config.json (containers-auth.json(5)).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::credentials::{Credentials, CredentialsError, IdentityToken, Secret, ask_helper};

/// A file with credentials larger than this is refused (bytes).
const MAX_FILE_BYTES: u64 = 4 << 20;

/// The key under which Docker keeps Docker Hub's credentials.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Why a file with credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthFileError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not JSON of its kind.
    #[error("{path} is not a valid auth file")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// An entry is not base64 of `user:password`.
    #[error("{path} has no usable credentials under {key:?}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        key: String,
    },
    /// A credential helper failed.
    #[error("{path} leaves the credentials to a helper that gave none")]
    Helper {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CredentialsError,
    },
}

#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AuthFile {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    identitytoken: Option<String>,
}

/// What the user's files hold for `repository` (without tag) at `registry`, most specific entry first.
///
/// With `auth_file` only that is read; otherwise, in podman's order, `$REGISTRY_AUTH_FILE`, or
/// `$XDG_RUNTIME_DIR/containers/auth.json` (for root `/run/containers/0`), `~/.config/containers/auth.json` and Docker's
/// `config.json`; the first that knows the registry decides.
pub(super) fn secret_for(
    auth_file: Option<&Path>,
    registry: &str,
    repository: &str,
) -> Result<Option<Secret>, AuthFileError> {
    let named = auth_file.map(Path::to_path_buf);
    let named = named.or_else(|| std::env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from));
    let (paths, must_exist) = match named {
        Some(path) => (vec![path], auth_file.is_some()),
        None => (usual_paths(), false),
    };
    for path in paths {
        let Some(file) = AuthFile::read(&path, must_exist)? else { continue };
        if let Some(secret) = file.secret_for(&path, registry, repository)? {
            return Ok(Some(secret));
        }
    }
    Ok(None)
}

fn usual_paths() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("HOME");
    let run = variable("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json"));
    let run_of_user =
        PathBuf::from(format!("/run/containers/{}/auth.json", rustix::process::getuid().as_raw()));
    let config = variable("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let docker = variable("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    [
        run,
        Some(run_of_user),
        config.map(|directory| directory.join("containers/auth.json")),
        docker.map(|directory| directory.join("config.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl AuthFile {
    fn read(path: &Path, must_exist: bool) -> Result<Option<Self>, AuthFileError> {
        let failed = |source| AuthFileError::Read { path: path.to_owned(), source };
        let text = match crate::bounded::read_file(path, MAX_FILE_BYTES) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(None),
            other => other.map_err(failed)?,
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|source| AuthFileError::Json { path: path.to_owned(), source })
    }

    fn secret_for(
        &self,
        path: &Path,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Secret>, AuthFileError> {
        let server = if registry == crate::reference::DOCKER_HUB { DOCKER_HUB_KEY } else { registry };
        let helped = |source| AuthFileError::Helper { path: path.to_owned(), source };
        let helper = self.cred_helpers.get(registry).or_else(|| self.cred_helpers.get(server));
        if let Some(helper) = helper {
            return ask_helper(helper, server).map_err(helped);
        }
        let store = self.creds_store.as_deref().filter(|helper| !helper.is_empty());
        if let Some(helper) = store
            && let Some(secret) = ask_helper(helper, server).map_err(helped)?
        {
            return Ok(Some(secret));
        }
        let Some((key, entry)) = self.entry(registry, repository) else { return Ok(None) };
        entry.secret().ok_or_else(|| AuthFileError::Entry { path: path.to_owned(), key: key.to_owned() })
    }

    /// `host/a/b`, `host/a`, `host`, then old keys such as `https://host/v1/`.
    fn entry(&self, registry: &str, repository: &str) -> Option<(&str, &Entry)> {
        let full = format!("{registry}/{repository}");
        let mut key = full.as_str();
        loop {
            if let Some((key, entry)) = self.auths.get_key_value(key) {
                return Some((key, entry));
            }
            match key.rsplit_once('/') {
                Some((shorter, _)) => key = shorter,
                None => break,
            }
        }
        let old = self.auths.iter().find(|(key, _)| host_of_key(key) == registry);
        old.map(|(key, entry)| (key.as_str(), entry))
    }
}

/// The registry that an old key with a scheme or a path means.
fn host_of_key(key: &str) -> &str {
    let rest = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    // Without a scheme, a path is a namespace, which was already looked up.
    let Some(rest) = rest else { return "" };
    match rest.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => crate::reference::DOCKER_HUB,
        host => host,
    }
}

impl Entry {
    /// None if the entry is broken; an entry that is empty (as `credsStore` leaves them) holds nothing.
    fn secret(&self) -> Option<Option<Secret>> {
        if let Some(token) = self.identitytoken.as_deref().filter(|token| !token.is_empty()) {
            return Some(Some(Secret::IdentityToken(IdentityToken(token.to_owned()))));
        }
        let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) else { return Some(None) };
        let decoded = String::from_utf8(STANDARD.decode(auth).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        let password = password.trim_end_matches('\0');
        let (username, password) = (username.to_owned(), password.to_owned());
        Some(Some(Secret::Login(Credentials { username, password })))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{AuthFileError, secret_for};
    use crate::registry::credentials::{Credentials, Secret};

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn user(text: &str, registry: &str, repository: &str) -> Option<String> {
        let file = file(text);
        match secret_for(Some(file.path()), registry, repository).unwrap()? {
            Secret::Login(Credentials { username, .. }) => Some(username),
            Secret::IdentityToken(_) => Some("<token>".to_owned()),
        }
    }

    #[test]
    fn the_most_specific_entry_decides() {
        // a:x, b:x, c:x
        let text =
            r#"{"auths":{"r.io/a/b":{"auth":"YTp4"},"r.io/a":{"auth":"Yjp4"},"r.io":{"auth":"Yzp4"}}}"#;
        assert_eq!(user(text, "r.io", "a/b").as_deref(), Some("a"));
        assert_eq!(user(text, "r.io", "a/z").as_deref(), Some("b"));
        assert_eq!(user(text, "r.io", "z").as_deref(), Some("c"));
        assert_eq!(user(text, "r.io:5000", "z"), None);
    }

    #[test]
    fn dockers_key_for_docker_hub_is_found() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YTp4"}},"HttpHeaders":{}}"#;
        assert_eq!(user(text, "docker.io", "library/redis").as_deref(), Some("a"));
        assert_eq!(user(text, "quay.io", "a"), None);
    }

    #[test]
    fn an_identity_token_is_preferred() {
        let text = r#"{"auths":{"r.io":{"auth":"YTp4","identitytoken":"t"}}}"#;
        assert_eq!(user(text, "r.io", "a").as_deref(), Some("<token>"));
    }

    #[test]
    fn a_broken_file_is_named() {
        let not_json = file("{");
        assert!(matches!(secret_for(Some(not_json.path()), "r", "a"), Err(AuthFileError::Json { .. })));
        let not_base64 = file(r#"{"auths":{"r":{"auth":"***"}}}"#);
        assert!(matches!(secret_for(Some(not_base64.path()), "r", "a"), Err(AuthFileError::Entry { .. })));
        let missing = std::path::Path::new("/nonexistent/auth.json");
        assert!(matches!(secret_for(Some(missing), "r", "a"), Err(AuthFileError::Read { .. })));
    }
}
