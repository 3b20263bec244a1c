//! How the user takes part in a session.

use clap::{ArgAction, Args, ValueEnum};
use gaufre_engine::AttachStreams;

use crate::session::{DetachKeys, Part};

/// How the user takes part in a session.
#[derive(Debug, Clone, Args)]
pub(crate) struct SessionArgs {
    /// Keys that leave the container running; "" for none [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS", value_parser = str::parse::<DetachKeys>)]
    detach_keys: Option<DetachKeys>,

    /// Whether signals sent to gaufre go to the container (without a terminal)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true,
        default_value_t = true, action = ArgAction::Set)]
    sig_proxy: bool,
}

impl SessionArgs {
    /// The same for a session.
    pub(crate) fn part(&self, streams: AttachStreams) -> Part {
        Part { streams, keys: self.detach_keys.clone().unwrap_or_default(), sig_proxy: self.sig_proxy }
    }
}

/// A standard stream by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stream {
    /// Standard input.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The streams of `--attach`; without it, both outputs, and the input if `interactive`.
pub(crate) fn streams(chosen: &[Stream], interactive: bool) -> AttachStreams {
    let has = |stream| chosen.is_empty() || chosen.contains(&stream);
    AttachStreams {
        // A chosen input is read as podman does it: also without --interactive.
        stdin: if chosen.is_empty() { interactive } else { chosen.contains(&Stream::Stdin) },
        stdout: has(Stream::Stdout),
        stderr: has(Stream::Stderr),
    }
}
