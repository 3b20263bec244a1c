//! The flags that several verbs share, and what they mean to the engine.

mod chosen;
mod create;
mod environment;
mod filter;
mod identity;
mod image;
mod limits;
mod mount;
mod network;
mod number_list;
mod process;
mod security;
mod session;
mod storage;
mod when;

pub(crate) use chosen::{chosen, ids, some_of};
pub(crate) use create::{CreateArgs, write_cidfile};
pub(crate) use environment::EnvArgs;
pub(crate) use filter::{Filter, NamePattern, fits_all};
pub(crate) use image::RegistryArgs;
pub(crate) use session::{SessionArgs, Stream, streams};
pub(crate) use when::parse_when;

use crate::failure::CliError;

/// The value given to `flag` cannot be used.
fn invalid(flag: &str, error: impl Into<anyhow::Error>) -> CliError {
    CliError::because(format_args!("invalid value for --{flag}"), error)
}
