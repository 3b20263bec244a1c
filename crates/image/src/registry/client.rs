//! Sending a request with what the registry asks for, again if that may help.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RANGE};
use reqwest::{Response, StatusCode, Url};
use tokio::sync::{Mutex, OnceCell};

use super::auth_file;
use super::challenge::Challenge;
use super::credentials::Secret;
use super::dns::SystemResolver;
use super::endpoint::{AuthState, Authority, Endpoint, challenge_of, classify, http_client, silent};
use super::options::RegistryOptions;
use super::pace::Pace;
use super::redirect;
use super::request_error::RequestError;
use super::retry;
use super::token::{self, TokenRequest};
use crate::registries::Location;

/// What is asked of a registry.
pub(super) struct Ask<'a> {
    pub(super) location: &'a Location,
    /// `manifests/TAG` or `blobs/DIGEST`, below the repository.
    pub(super) path: String,
    pub(super) accept: Option<&'a str>,
    /// The first byte wanted; 0 asks for everything.
    pub(super) from_byte: u64,
    /// In the user's words, for errors.
    pub(super) what: String,
}

pub(super) struct Client {
    pub(super) options: RegistryOptions,
    endpoints: Mutex<HashMap<Authority, Arc<OnceCell<Endpoint>>>>,
    resolver: SystemResolver,
}

impl Client {
    pub(super) fn new(options: RegistryOptions) -> Self {
        Self { options, endpoints: Mutex::default(), resolver: SystemResolver::default() }
    }

    /// The head of a successful response; the body is still to be read. Repeats what may pass.
    pub(super) async fn get(&self, ask: &Ask<'_>) -> Result<Response, RequestError> {
        let mut failures = 0;
        loop {
            let (error, asked_pause) = match self.attempt(ask).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            failures += 1;
            let pause = self.options.retry.pause_after(failures);
            let Some(pause) = pause.filter(|_| error.is_passing()) else { return Err(error) };
            // A registry that never answered is a wrong name or port, which does not get better by waiting.
            if error.is_no_contact() && !self.is_known(&ask.location.authority).await {
                return Err(error);
            }
            let pause = asked_pause.map_or(pause, |asked| asked.max(pause));
            if asked_pause.is_some_and(|asked| asked > self.options.retry.longest_retry_after) {
                return Err(error);
            }
            tracing::debug!(%error, ?pause, "asking the registry again");
            tokio::time::sleep(pause).await;
        }
    }

    /// A whole body of at most `limit_bytes`, with its media type.
    pub(super) async fn get_bytes(
        &self,
        ask: &Ask<'_>,
        limit_bytes: u64,
    ) -> Result<(Bytes, Option<String>), RequestError> {
        let mut failures = 0;
        loop {
            let response = self.get(ask).await?;
            let header = response.headers().get(CONTENT_TYPE);
            let media_type = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
            let registry = &ask.location.authority.registry;
            match self.body(response, registry, &ask.what, limit_bytes).await {
                Ok(bytes) => return Ok((bytes, media_type)),
                Err(error) => {
                    failures += 1;
                    match self.options.retry.pause_after(failures) {
                        Some(pause) if error.is_passing() => tokio::time::sleep(pause).await,
                        _ => return Err(error),
                    }
                }
            }
        }
    }

    async fn body(
        &self,
        mut response: Response,
        registry: &str,
        what: &str,
        limit_bytes: u64,
    ) -> Result<Bytes, RequestError> {
        let mut pace = Pace::new(self.options.timeouts);
        let mut bytes = BytesMut::new();
        loop {
            let chunk = pace.next_chunk(&mut response, registry, what).await?;
            let Some(chunk) = chunk else { return Ok(bytes.freeze()) };
            if bytes.len() as u64 + chunk.len() as u64 > limit_bytes {
                let (registry, what) = (registry.to_owned(), what.to_owned());
                return Err(RequestError::TooLarge { registry, what, limit_bytes });
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    /// One attempt, two if the first was only refused for an old or missing token. With the error comes the pause
    /// that the registry asks for.
    async fn attempt(&self, ask: &Ask<'_>) -> Result<Response, (RequestError, Option<std::time::Duration>)> {
        let endpoint = self.endpoint(&ask.location.authority).await.map_err(|error| (error, None))?;
        let endpoint = endpoint
            .get()
            .ok_or_else(|| (RequestError::Address(ask.location.authority.registry.clone()), None))?;
        let authorization = self.authorization(endpoint, ask).await.map_err(|error| (error, None))?;
        let response =
            self.send(endpoint, ask, authorization.as_deref()).await.map_err(|error| (error, None))?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return self.judge(response, ask, authorization.is_some()).await;
        }
        // The token ended, or /v2/ asked for nothing although this path does.
        if let Some(challenge) =
            challenge_of(endpoint.registry(), &response).map_err(|error| (error, None))?
        {
            let mut state = endpoint.state.lock().await;
            state.challenge = Some(challenge);
            state.tokens.remove(ask.location.reference.repository());
        }
        let renewed = self.authorization(endpoint, ask).await.map_err(|error| (error, None))?;
        if renewed.is_none() || renewed == authorization {
            return self.judge(response, ask, authorization.is_some()).await;
        }
        let response = self.send(endpoint, ask, renewed.as_deref()).await.map_err(|error| (error, None))?;
        self.judge(response, ask, true).await
    }

    async fn endpoint(&self, authority: &Authority) -> Result<Arc<OnceCell<Endpoint>>, RequestError> {
        let cell = Arc::clone(self.endpoints.lock().await.entry(authority.clone()).or_default());
        cell.get_or_try_init(|| Endpoint::find(authority, &self.options, &self.resolver)).await?;
        Ok(cell)
    }

    async fn is_known(&self, authority: &Authority) -> bool {
        self.endpoints.lock().await.get(authority).is_some_and(|cell| cell.initialized())
    }

    async fn send(
        &self,
        endpoint: &Endpoint,
        ask: &Ask<'_>,
        authorization: Option<&str>,
    ) -> Result<Response, RequestError> {
        let registry = endpoint.registry();
        let path = format!("{}/{}", ask.location.reference.repository(), ask.path);
        let url = endpoint.base.join(&path).map_err(|_| RequestError::Address(registry.to_owned()))?;
        let mut request = endpoint.http.get(url);
        if let Some(accept) = ask.accept {
            request = request.header(ACCEPT, accept);
        }
        if ask.from_byte > 0 {
            request = request.header(RANGE, format!("bytes={}-", ask.from_byte));
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let limit = self.options.timeouts.connect + self.options.timeouts.response;
        match tokio::time::timeout(limit, request.send()).await {
            Err(_) => Err(silent(registry, &ask.what, limit)),
            Ok(sent) => sent.map_err(|error| classify(error, registry, &ask.what, &self.options.timeouts)),
        }
    }

    async fn judge(
        &self,
        response: Response,
        ask: &Ask<'_>,
        with_credentials: bool,
    ) -> Result<Response, (RequestError, Option<std::time::Duration>)> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (registry, what) = (ask.location.authority.registry.clone(), ask.what.clone());
        let asked_pause = retry::retry_after(response.headers(), jiff::Timestamp::now());
        let error = match status {
            StatusCode::UNAUTHORIZED => RequestError::Unauthorized { registry, what, with_credentials },
            StatusCode::NOT_FOUND => RequestError::NotFound { registry, what },
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds = asked_pause.map(|pause| pause.as_secs());
                RequestError::TooManyRequests { registry, seconds }
            }
            _ => {
                let body = self.body(response, &registry, &what, 64 << 10).await.unwrap_or_default();
                let detail = detail(&body);
                match status {
                    StatusCode::FORBIDDEN => RequestError::Forbidden { registry, what, detail },
                    _ => RequestError::Status { registry, what, status, detail },
                }
            }
        };
        Err((error, asked_pause))
    }

    /// The Authorization header for this request, if the registry asks for one and we have an answer.
    async fn authorization(
        &self,
        endpoint: &Endpoint,
        ask: &Ask<'_>,
    ) -> Result<Option<String>, RequestError> {
        // Held while a token is fetched, so that parallel layers ask for one token, not for one each.
        let mut state = endpoint.state.lock().await;
        let Some(challenge) = state.challenge.clone() else { return Ok(None) };
        let repository = ask.location.reference.repository();
        let secret = self.secret(&mut state, ask).await?;
        match challenge {
            Challenge::Basic => Ok(match secret {
                Some(Secret::Login(login)) => Some(login.basic()),
                _ => None,
            }),
            Challenge::Bearer { realm, service, scope } => {
                if let Some(token) = state.tokens.get(repository).filter(|token| token.is_fresh()) {
                    return Ok(Some(token.header.clone()));
                }
                let scope = scope.unwrap_or_else(|| format!("repository:{repository}:pull"));
                let token = self.token(endpoint, &realm, service.as_deref(), &scope, secret.as_ref()).await?;
                let header = token.header.clone();
                state.tokens.insert(repository.to_owned(), token);
                Ok(Some(header))
            }
        }
    }

    /// The user's credentials for a repository, read once.
    async fn secret(&self, state: &mut AuthState, ask: &Ask<'_>) -> Result<Option<Secret>, RequestError> {
        if let Some(creds) = self.options.creds.as_ref().filter(|_| !ask.location.is_mirror) {
            return Ok(Some(Secret::Login(creds.clone())));
        }
        let repository = ask.location.reference.repository().to_owned();
        if let Some(known) = state.secrets.get(&repository) {
            return Ok(known.clone());
        }
        let registry = ask.location.authority.registry.clone();
        let auth_file = self.options.auth_file.clone();
        let (host, path) = (registry.clone(), repository.clone());
        // A credential helper is a program that may take its time.
        let read =
            tokio::task::spawn_blocking(move || auth_file::secret_for(auth_file.as_deref(), &host, &path));
        let found = match read.await {
            Ok(read) => read.map_err(|source| RequestError::AuthFile { registry, source })?,
            Err(_) => None,
        };
        state.secrets.insert(repository, found.clone());
        Ok(found)
    }

    async fn token(
        &self,
        endpoint: &Endpoint,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        secret: Option<&Secret>,
    ) -> Result<token::Token, RequestError> {
        let registry = endpoint.registry().to_owned();
        let unusable = || RequestError::Challenge { registry: registry.clone(), challenge: realm.to_owned() };
        let url = Url::parse(realm).map_err(|_| unusable())?;
        match url.scheme() {
            "https" => {}
            // What came over TLS does not send a secret out in plain text, whoever vouches for the registry.
            "http" if endpoint.base.scheme() == "http" => {}
            "http" => return Err(RequestError::InsecureRealm { registry, realm: realm.to_owned() }),
            _ => return Err(unusable()),
        }
        let request = match TokenRequest::new(&url, service, scope, secret) {
            TokenRequest::Get { url, authorization } => {
                let request = endpoint.http.get(url);
                match authorization {
                    Some(authorization) => request.header(AUTHORIZATION, authorization),
                    None => request,
                }
            }
            TokenRequest::Post { url, form } => {
                let (authority, redirects) = (&endpoint.authority, redirect::to_the_same_server());
                let http = http_client(authority, &self.options, &self.resolver, &url, redirects)?;
                http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
            }
        };
        let what = format!("a token for {scope}");
        let limit = self.options.timeouts.connect + self.options.timeouts.response;
        let response = match tokio::time::timeout(limit, request.send()).await {
            Err(_) => return Err(silent(&registry, &what, limit)),
            Ok(sent) => sent.map_err(|error| classify(error, &registry, &what, &self.options.timeouts))?,
        };
        let status = response.status();
        let body = self.body(response, &registry, &what, token::MAX_ANSWER_BYTES).await?;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let with_credentials = secret.is_some();
            return Err(RequestError::Unauthorized { registry, what, with_credentials });
        }
        if !status.is_success() {
            return Err(RequestError::Status { registry, what, status, detail: detail(&body) });
        }
        token::parse(&body).map_err(|source| RequestError::Token {
            registry,
            realm: realm.to_owned(),
            source: source.into(),
        })
    }
}

/// The registry's own words, from the errors of the distribution specification.
fn detail(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        code: Option<String>,
        message: Option<String>,
    }
    let Ok(parsed) = serde_json::from_slice::<Errors>(body) else { return String::new() };
    let first = parsed.errors.into_iter().next();
    let text = first.and_then(|entry| entry.message.or(entry.code)).unwrap_or_default();
    // It goes to a terminal: no control characters, and not without end.
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
