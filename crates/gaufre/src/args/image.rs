//! Where images come from, and when.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use gaufre_engine::settings::{Platform, PullPolicy, RegistryAccess, parse_credentials};

/// How a registry is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub(crate) struct RegistryArgs {
    /// Whether to insist on HTTPS with a valid certificate [default: true,
    /// unless registries.conf says otherwise]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true,
        action = ArgAction::Set)]
    tls_verify: Option<bool>,

    /// Directory with certificates and keys for the registry
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,

    /// File with registry credentials [default: podman's and Docker's]
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,

    /// Credentials for the registry
    #[arg(long, value_name = "USER:PASSWORD", value_parser = parse_credentials)]
    creds: Option<(String, String)>,

    /// Seconds that the registry may be silent before a request is
    /// repeated, and in the end given up [default: 30]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3600))]
    registry_timeout: Option<u32>,
}

impl RegistryArgs {
    /// The same for the engine.
    pub(crate) fn access(&self) -> RegistryAccess {
        RegistryAccess {
            tls_verify: self.tls_verify,
            cert_dir: self.cert_dir.clone(),
            auth_file: self.authfile.clone(),
            creds: self.creds.clone(),
            timeout_s: self.registry_timeout,
        }
    }
}

/// Which image, and when it is pulled.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Image")]
pub(crate) struct PullArgs {
    /// When to pull the image: always, missing, never or newer
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pub(super) pull: PullPolicy,

    /// Platform to choose, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Option<Platform>,

    /// Show no progress while pulling
    #[arg(short, long)]
    pub(crate) quiet: bool,

    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}
