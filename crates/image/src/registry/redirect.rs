//! Redirects: registries send blobs from elsewhere, but never from TLS to plain HTTP.

use reqwest::redirect::{Attempt, Policy};

/// Follows at most ten redirects; leaving TLS is refused unless the registry is insecure anyway. reqwest itself
/// drops the Authorization header when the host changes.
pub(super) fn policy(insecure: bool) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| {
        if attempt.previous().len() > 10 {
            return attempt.error(RedirectError::TooMany);
        }
        let left_tls = attempt.url().scheme() != "https"
            && attempt.previous().last().is_some_and(|previous| previous.scheme() == "https");
        if left_tls && !insecure {
            let to = attempt.url().host_str().unwrap_or_default().to_owned();
            return attempt.error(RedirectError::LeavesTls(to));
        }
        attempt.follow()
    })
}

/// For a request whose body holds a secret: only to the very server that it was sent to.
pub(super) fn to_the_same_server() -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| {
        if attempt.previous().len() > 10 {
            return attempt.error(RedirectError::TooMany);
        }
        let first = attempt.previous().first().map(reqwest::Url::origin);
        if first != Some(attempt.url().origin()) {
            let to = attempt.url().host_str().unwrap_or_default().to_owned();
            return attempt.error(RedirectError::CarriesSecret(to));
        }
        attempt.follow()
    })
}

#[derive(Debug, thiserror::Error)]
enum RedirectError {
    #[error("the registry redirects without end")]
    TooMany,
    #[error("the registry redirects from TLS to plain HTTP at {0}")]
    LeavesTls(String),
    #[error("the token server redirects a request with a refresh token to another server, {0}")]
    CarriesSecret(String),
}
