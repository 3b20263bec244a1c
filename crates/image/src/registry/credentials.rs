//! User names, passwords and the helper programs that keep them.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A user name with its password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password or access token.
    pub password: String,
}

impl Credentials {
    /// Reads `USER:PASSWORD` as `--creds` takes it; without a colon the password is empty.
    pub fn parse(text: &str) -> Self {
        let (username, password) = text.split_once(':').unwrap_or((text, ""));
        Self { username: username.to_owned(), password: password.to_owned() }
    }

    /// The value of an Authorization header (RFC 7617).
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.username, self.password)))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What an auth file or a helper holds for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Secret {
    Login(Credentials),
    /// An OAuth2 refresh token, which is exchanged for access tokens.
    IdentityToken(IdentityToken),
}

/// A refresh token. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct IdentityToken(pub(super) String);

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityToken(..)")
    }
}

/// Why a credential helper gave nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The name could be a path or an option.
    #[error("credential helper name {0:?} is not valid")]
    Name(String),
    /// The helper cannot be run.
    #[error("cannot run credential helper {helper}")]
    Run {
        /// `docker-credential-NAME`.
        helper: String,
        /// Why.
        source: std::io::Error,
    },
    /// The helper does not come to an end.
    #[error("credential helper {helper} gave no answer within {seconds} s")]
    Silent {
        /// `docker-credential-NAME`.
        helper: String,
        /// The limit in seconds.
        seconds: u64,
    },
    /// The helper failed.
    #[error("credential helper {helper} failed: {message}")]
    Failed {
        /// `docker-credential-NAME`.
        helper: String,
        /// What it printed.
        message: String,
    },
    /// The helper's output is no JSON of the protocol.
    #[error("credential helper {helper} sent no usable answer")]
    Answer {
        /// `docker-credential-NAME`.
        helper: String,
        /// What the parser found.
        source: serde_json::Error,
    },
}

/// The most that a helper may print (bytes).
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// How long a helper may take; some ask the user.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often is looked whether a helper that has answered has ended too.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks `docker-credential-NAME get` (docker-credential-helpers' protocol); none if it knows nothing.
pub(super) fn ask_helper(name: &str, server: &str) -> Result<Option<Secret>, CredentialsError> {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !plain {
        return Err(CredentialsError::Name(name.to_owned()));
    }
    let helper = format!("docker-credential-{name}");
    let (succeeded, answer) =
        converse(&helper, server, LONGEST_WAIT).map_err(|source| match source.kind() {
            std::io::ErrorKind::TimedOut => {
                CredentialsError::Silent { helper: helper.clone(), seconds: LONGEST_WAIT.as_secs() }
            }
            _ => CredentialsError::Run { helper: helper.clone(), source },
        })?;
    if !succeeded {
        let message: String = String::from_utf8_lossy(&answer).trim().chars().take(200).collect();
        // The protocol has no code for it, only this sentence.
        if message.contains("credentials not found") {
            return Ok(None);
        }
        return Err(CredentialsError::Failed { helper, message });
    }
    let answer: Answer =
        serde_json::from_slice(&answer).map_err(|source| CredentialsError::Answer { helper, source })?;
    Ok(Some(match answer.username.as_str() {
        "<token>" => Secret::IdentityToken(IdentityToken(answer.secret)),
        _ => Secret::Login(Credentials { username: answer.username, password: answer.secret }),
    }))
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Whether the helper succeeded, and what it printed. One that takes longer than `limit` is killed: `TimedOut`.
fn converse(helper: &str, server: &str, limit: Duration) -> std::io::Result<(bool, Vec<u8>)> {
    let end = Instant::now() + limit;
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // A helper that does not read its input closes the pipe; its exit status tells more than that error.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(server.as_bytes());
    }
    let outcome = answer_until(end, &mut child);
    if outcome.is_err() {
        // It may have ended by itself in the meantime.
        let _ = child.kill();
        let _ = child.wait();
    }
    outcome
}

/// The thread that reads may outlive this: what the helper has started can hold the pipe open for ever.
fn answer_until(end: Instant, child: &mut Child) -> std::io::Result<(bool, Vec<u8>)> {
    let (sender, answers) = mpsc::channel();
    let stdout = child.stdout.take();
    std::thread::spawn(move || {
        let mut answer = Vec::new();
        let read = match stdout {
            Some(stdout) => stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer),
            None => Ok(0),
        };
        let _ = sender.send(read.map(|_| answer));
    });
    let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let left = end.saturating_duration_since(Instant::now());
    let answer = answers.recv_timeout(left).map_err(|_| late())??;
    loop {
        match child.try_wait()? {
            Some(status) => return Ok((status.success(), answer)),
            None if Instant::now() >= end => return Err(late()),
            None => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Credentials, CredentialsError, ask_helper, converse};

    #[test]
    fn a_password_is_never_printed() {
        let credentials = Credentials::parse("user:se:cret");
        assert_eq!(credentials.password, "se:cret");
        assert!(!format!("{credentials:?}").contains("cret"));
        assert_eq!(credentials.basic(), "Basic dXNlcjpzZTpjcmV0");
    }

    #[test]
    fn a_helper_name_cannot_be_a_path() {
        assert!(matches!(ask_helper("../x", "r"), Err(CredentialsError::Name(_))));
        assert!(matches!(ask_helper("", "r"), Err(CredentialsError::Name(_))));
        assert!(matches!(ask_helper("gaufre-does-not-exist", "r"), Err(CredentialsError::Run { .. })));
    }

    #[test]
    fn a_helper_that_does_not_end_is_killed_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let helper = directory.path().join("helper");
        for script in ["#!/bin/sh\nexec sleep 1000\n", "#!/bin/sh\nexec >&-\nexec sleep 1000\n"] {
            // By another process: a file that is open for writing cannot be executed, and what another test starts
            // meanwhile would have our descriptor for a moment (execve(2), ETXTBSY).
            let written = directory.path().join("script");
            std::fs::write(&written, script).unwrap();
            let installed =
                std::process::Command::new("install").arg("-m755").arg(&written).arg(&helper).status();
            assert!(installed.unwrap().success());
            let error = converse(helper.to_str().unwrap(), "r", Duration::from_millis(50)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        }
    }
}
