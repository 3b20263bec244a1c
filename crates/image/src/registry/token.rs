//! Bearer tokens (distribution's token authentication specification, and its OAuth2 form for refresh tokens).

use std::time::{Duration, Instant};

use reqwest::Url;

use super::credentials::Secret;

/// A token's life when its server gives none (the specification's default).
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

/// A token is renewed this long before it ends.
const MARGIN: Duration = Duration::from_secs(10);

/// The most that a token server may send (bytes).
pub(super) const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// A token and until when it is used.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: String,
    until: Instant,
}

impl Token {
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.until
    }
}

/// A request to a token server.
pub(super) enum TokenRequest {
    /// GET with these query parameters and this Authorization header.
    Get { url: Url, authorization: Option<String> },
    /// POST of a form, for a refresh token.
    Post { url: Url, form: String },
}

impl TokenRequest {
    pub(super) fn new(realm: &Url, service: Option<&str>, scope: &str, secret: Option<&Secret>) -> Self {
        let mut url = realm.clone();
        match secret {
            Some(Secret::IdentityToken(token)) => {
                let mut form = realm.clone();
                form.set_query(None);
                form.query_pairs_mut()
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("refresh_token", &token.0)
                    .append_pair("client_id", "gaufre")
                    .append_pair("scope", scope)
                    .extend_pairs(service.map(|service| ("service", service)));
                Self::Post { url, form: form.query().unwrap_or_default().to_owned() }
            }
            other => {
                let login = other.and_then(|secret| match secret {
                    Secret::Login(credentials) => Some(credentials),
                    Secret::IdentityToken(_) => None,
                });
                url.query_pairs_mut()
                    .extend_pairs(service.map(|service| ("service", service)))
                    .append_pair("scope", scope)
                    .extend_pairs(login.map(|login| ("account", login.username.as_str())));
                Self::Get { url, authorization: login.map(super::credentials::Credentials::basic) }
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("its answer is not valid JSON")]
    Json(#[from] serde_json::Error),
    #[error("its answer holds no token")]
    Missing,
}

/// Reads a token server's answer.
pub(super) fn parse(answer: &[u8]) -> Result<Token, TokenError> {
    let answer: Answer = serde_json::from_slice(answer)?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token = token.ok_or(TokenError::Missing)?;
    // A server must not make us keep a token for ever; an hour costs one more request.
    let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs).min(Duration::from_secs(3600));
    let until = Instant::now() + life.saturating_sub(MARGIN).max(Duration::from_secs(5));
    Ok(Token { header: format!("Bearer {token}"), until })
}

#[cfg(test)]
mod tests {
    use super::{TokenError, TokenRequest, parse};
    use crate::registry::credentials::{Credentials, IdentityToken, Secret};

    #[test]
    fn both_names_of_the_token_are_understood() {
        assert_eq!(parse(br#"{"token":"t","expires_in":300}"#).unwrap().header, "Bearer t");
        assert_eq!(parse(br#"{"access_token":"a"}"#).unwrap().header, "Bearer a");
        assert!(matches!(parse(b"{}"), Err(TokenError::Missing)));
        assert!(matches!(parse(b"<html>"), Err(TokenError::Json(_))));
    }

    #[test]
    fn a_login_goes_into_the_header_and_a_refresh_token_into_the_body() {
        let realm = "https://a.io/token?x=1".parse().unwrap();
        let login = Secret::Login(Credentials::parse("u:p"));
        match TokenRequest::new(&realm, Some("s"), "repository:r:pull", Some(&login)) {
            TokenRequest::Get { url, authorization } => {
                assert_eq!(url.query(), Some("x=1&service=s&scope=repository%3Ar%3Apull&account=u"));
                assert_eq!(authorization.as_deref(), Some("Basic dTpw"));
            }
            TokenRequest::Post { .. } => panic!("a login is not posted"),
        }
        let refresh = Secret::IdentityToken(IdentityToken("r".to_owned()));
        match TokenRequest::new(&realm, None, "s", Some(&refresh)) {
            TokenRequest::Post { form, .. } => assert!(form.contains("refresh_token=r"), "{form}"),
            TokenRequest::Get { .. } => panic!("a refresh token is posted"),
        }
    }
}
