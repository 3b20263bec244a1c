//! What the user decides about registries.

use std::path::PathBuf;
use std::time::Duration;

use crate::registries::RegistriesConf;

use super::credentials::Credentials;
use super::retry::RetryPolicy;

/// How to talk to registries.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// `--tls-verify`: `Some(false)` allows bad certificates and plain HTTP, `Some(true)` forbids them whatever
    /// registries.conf says, none leaves it to registries.conf.
    pub tls_verify: Option<bool>,
    /// `--cert-dir`: a directory with `*.crt` (certificate authorities) and `*.cert` with `*.key` (client
    /// certificates), used instead of the certs.d directories.
    pub cert_dir: Option<PathBuf>,
    /// `--authfile`: read instead of the usual places.
    pub auth_file: Option<PathBuf>,
    /// `--creds`: used instead of any file, for the registry of the reference and never for its mirrors.
    pub creds: Option<Credentials>,
    /// Mirrors, insecure and blocked registries.
    pub registries: RegistriesConf,
    /// How long a registry may be silent.
    pub timeouts: Timeouts,
    /// How often and after which pauses a request is repeated.
    pub retry: RetryPolicy,
}

/// How long a registry may be silent before the attempt counts as failed.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Name resolution, TCP and TLS handshakes.
    pub connect: Duration,
    /// From a request to the head of its response.
    pub response: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            response: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        }
    }
}
