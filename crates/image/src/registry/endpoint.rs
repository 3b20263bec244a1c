//! One registry as it was found: its scheme, its connections, what it asks for, and the tokens it accepts.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use tokio::sync::Mutex;

use super::causes::Causes;
use super::challenge::Challenge;
use super::credentials::Secret;
use super::dns::SystemResolver;
use super::options::{RegistryOptions, Timeouts};
use super::request_error::RequestError;
use super::token::Token;
use super::{redirect, tls};

/// Which registry to ask, and how far it is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Authority {
    /// Host and port as in references.
    pub(crate) registry: String,
    /// Bad certificates and plain HTTP are allowed.
    pub(crate) insecure: bool,
}

pub(super) struct Endpoint {
    pub(super) authority: Authority,
    pub(super) base: Url,
    pub(super) http: reqwest::Client,
    pub(super) state: Mutex<AuthState>,
}

/// What the registry asks for and what was found to answer it.
#[derive(Default)]
pub(super) struct AuthState {
    pub(super) challenge: Option<Challenge>,
    /// By repository: credentials and tokens may differ.
    pub(super) tokens: std::collections::HashMap<String, Token>,
    pub(super) secrets: std::collections::HashMap<String, Option<Secret>>,
}

impl Endpoint {
    /// Finds out by `GET /v2/` whether the registry speaks TLS and what it asks for.
    pub(super) async fn find(
        authority: &Authority,
        options: &RegistryOptions,
        resolver: &SystemResolver,
    ) -> Result<Self, RequestError> {
        let registry = &authority.registry;
        let host = if registry == crate::reference::DOCKER_HUB { "registry-1.docker.io" } else { registry };
        let address = |scheme: &str| {
            let text = format!("{scheme}://{host}/v2/");
            Url::parse(&text).map_err(|_| RequestError::Address(registry.clone()))
        };
        let https = address("https")?;
        let policy = redirect::policy(authority.insecure);
        let http = http_client(authority, options, resolver, &https, policy)?;
        match ping(&http, &https, registry, options).await {
            Ok(response) => Self::answered(authority, https, http, &response),
            // Only an insecure registry may answer in plain text, and only if TLS itself is what failed.
            Err(RequestError::Tls { .. } | RequestError::Connect { .. } | RequestError::Broken { .. })
                if authority.insecure =>
            {
                let plain = address("http")?;
                let response = ping(&http, &plain, registry, options).await?;
                Self::answered(authority, plain, http, &response)
            }
            Err(error) => Err(error),
        }
    }

    fn answered(
        authority: &Authority,
        base: Url,
        http: reqwest::Client,
        response: &Response,
    ) -> Result<Self, RequestError> {
        let mut state = AuthState::default();
        if response.status() == reqwest::StatusCode::UNAUTHORIZED {
            state.challenge = challenge_of(&authority.registry, response)?;
        }
        let authority = authority.clone();
        Ok(Self { authority, base, http, state: Mutex::new(state) })
    }

    pub(super) fn registry(&self) -> &str {
        &self.authority.registry
    }
}

/// The challenge of a 401.
pub(super) fn challenge_of(registry: &str, response: &Response) -> Result<Option<Challenge>, RequestError> {
    Challenge::from_headers(response.headers())
        .map_err(|challenge| RequestError::Challenge { registry: registry.to_owned(), challenge })
}

async fn ping(
    http: &reqwest::Client,
    url: &Url,
    registry: &str,
    options: &RegistryOptions,
) -> Result<Response, RequestError> {
    let limit = options.timeouts.connect + options.timeouts.response;
    let what = "/v2/";
    match tokio::time::timeout(limit, http.get(url.clone()).send()).await {
        Err(_) => Err(silent(registry, what, limit)),
        Ok(sent) => sent.map_err(|error| classify(error, registry, what, &options.timeouts)),
    }
}

/// Connections as this registry needs them, to `url` and where it leads.
pub(super) fn http_client(
    authority: &Authority,
    options: &RegistryOptions,
    resolver: &SystemResolver,
    url: &Url,
    redirects: Policy,
) -> Result<reqwest::Client, RequestError> {
    let registry = authority.registry.clone();
    let tls = tls::client_config(&registry, options.cert_dir.as_deref(), !authority.insecure)
        .map_err(|source| RequestError::TlsSetup { registry: registry.clone(), source })?;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("gaufre/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver.clone())
        .redirect(redirects)
        .connect_timeout(options.timeouts.connect)
        .pool_idle_timeout(Duration::from_secs(30));
    if is_loopback(url) {
        // As in Go's net/http: a proxy never stands between a machine and itself.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|source| RequestError::Connect { registry, source: source.into() })
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn silent(registry: &str, what: &str, limit: Duration) -> RequestError {
    let (registry, what) = (registry.to_owned(), what.to_owned());
    RequestError::Silent { registry, what, seconds: limit.as_secs_f32() }
}

/// Turns a transport error into one that says what a user can do.
pub(super) fn classify(
    error: reqwest::Error,
    registry: &str,
    what: &str,
    timeouts: &Timeouts,
) -> RequestError {
    let registry = registry.to_owned();
    if error.is_timeout() {
        let limit = if error.is_connect() { timeouts.connect } else { timeouts.response };
        return silent(&registry, what, limit);
    }
    // The address stands in our own message.
    let error = error.without_url();
    if let Some(tls) = tls_error(&error) {
        let plain_http =
            matches!(tls, rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        let source = tls.clone().into();
        return RequestError::Tls { registry, plain_http, source };
    }
    match error.is_connect() {
        true => RequestError::Connect { registry, source: Causes::of(&error).into() },
        false => RequestError::Broken { registry, what: what.to_owned(), source: Causes::of(&error).into() },
    }
}

/// rustls's own error, which io::Error hides from the chain of sources.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
