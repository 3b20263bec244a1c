//! Why a registry gave no usable answer.

use reqwest::StatusCode;

use super::auth_file::AuthFileError;
use super::credentials::CredentialsError;
use super::tls::TlsError;

/// Why a registry gave no usable answer. Every variant names the registry.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The host cannot be part of an address.
    #[error("{0:?} is no address of a registry")]
    Address(String),
    /// Certificates for the registry cannot be read.
    #[error("cannot set up TLS for registry {registry}")]
    TlsSetup {
        /// Host and port.
        registry: String,
        /// Why.
        source: TlsError,
    },
    /// The registry's certificate is not trusted, or it does not speak TLS.
    #[error("registry {registry} cannot be trusted over TLS")]
    Tls {
        /// Host and port.
        registry: String,
        /// Whether it looks like plain HTTP.
        plain_http: bool,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Name resolution or TCP failed.
    #[error("cannot connect to registry {registry}")]
    Connect {
        /// Host and port.
        registry: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry stayed silent too long.
    #[error("registry {registry} did not answer within {seconds} s when asked for {what}")]
    Silent {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// The limit in seconds.
        seconds: f32,
    },
    /// The registry sends, but hardly anything.
    #[error("registry {registry} is too slow: it sent {bytes} bytes of {what} within {seconds} s")]
    Slow {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// What came within the time.
        bytes: u64,
        /// The time in seconds.
        seconds: f32,
    },
    /// The exchange broke off.
    #[error("the connection to registry {registry} broke while asking for {what}")]
    Broken {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// How.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// 401, also with what credentials there are.
    #[error("registry {registry} refuses access to {what}: {}", login_state(*.with_credentials))]
    Unauthorized {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// Whether credentials were sent.
        with_credentials: bool,
    },
    /// 403.
    #[error("registry {registry} forbids access to {what}{}", detail_text(.detail))]
    Forbidden {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// The registry's own words.
        detail: String,
    },
    /// 404.
    #[error("registry {registry} has no {what}")]
    NotFound {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// 429, also after waiting.
    #[error("registry {registry} limits the rate of requests{}", pause_text(*.seconds))]
    TooManyRequests {
        /// Host and port.
        registry: String,
        /// The pause it asks for, in seconds, if it names one.
        seconds: Option<u64>,
    },
    /// Any other status.
    #[error("registry {registry} answered {status} to the request for {what}{}", detail_text(.detail))]
    Status {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// The status.
        status: StatusCode,
        /// The registry's own words.
        detail: String,
    },
    /// A body above its limit.
    #[error("registry {registry} sent more than {limit_bytes} bytes as {what}")]
    TooLarge {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The registry asks for a kind of authentication that is not supported, or in a wrong way.
    #[error("registry {registry} asks for authentication in a way that is not supported: {challenge:?}")]
    Challenge {
        /// Host and port.
        registry: String,
        /// The WWW-Authenticate header.
        challenge: String,
    },
    /// Credentials would leave over plain HTTP although the registry itself is spoken to over TLS.
    #[error("registry {registry} asks to send credentials to {realm} without TLS")]
    InsecureRealm {
        /// Host and port.
        registry: String,
        /// Where the token server is.
        realm: String,
    },
    /// The token server's answer holds no token.
    #[error("the token server {realm} of registry {registry} sent no usable token")]
    Token {
        /// Host and port.
        registry: String,
        /// Where the token server is.
        realm: String,
        /// What the parser found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Credentials cannot be read.
    #[error("cannot find out the credentials for registry {registry}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// Why.
        source: CredentialsError,
    },
    /// The file with credentials cannot be read.
    #[error("cannot read the credentials for registry {registry}")]
    AuthFile {
        /// Host and port.
        registry: String,
        /// Why.
        source: AuthFileError,
    },
}

impl RequestError {
    /// What a user can do about it, in one line.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Tls { plain_http: true, .. } => Some(
                "the registry seems to speak plain HTTP: use --tls-verify=false, or mark it insecure in registries.conf",
            ),
            Self::Tls { .. } => Some(
                "put the registry's certificate authority into /etc/containers/certs.d/HOST:PORT/ca.crt or --cert-dir, \
                 or use --tls-verify=false",
            ),
            Self::Unauthorized { with_credentials: false, .. } => {
                Some("log in first (podman login or docker login), or give --creds USER:PASSWORD")
            }
            Self::Unauthorized { .. } => Some("check the user name and password, and that the image exists"),
            Self::NotFound { .. } => Some("check the name and the tag"),
            Self::Connect { .. } | Self::Silent { .. } => {
                Some("check the registry's name, the network and the proxy settings")
            }
            Self::Slow { .. } => Some("try again later; --registry-timeout gives the registry more time"),
            Self::TooManyRequests { .. } => Some("wait, or log in for a higher limit"),
            _ => None,
        }
    }

    /// Whether a mirror or the next candidate may still have what this registry said it has not.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Unauthorized { .. } | Self::Forbidden { .. })
    }

    /// Whether nothing at all came back.
    pub(super) fn is_no_contact(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Silent { .. })
    }

    /// Whether the same request may succeed in a while.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Silent { .. } | Self::Broken { .. } | Self::Slow { .. } => true,
            Self::TooManyRequests { .. } => true,
            Self::Status { status, .. } => super::retry::is_passing(*status),
            _ => false,
        }
    }
}

fn login_state(with_credentials: bool) -> &'static str {
    if with_credentials { "the credentials are not accepted" } else { "it asks for a login" }
}

fn pause_text(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" and asks to wait {seconds} s"))
}

fn detail_text(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}
