//! The configuration: what is not honoured is refused, and defaults from which an engine builds one.

mod defaults;
mod read;
mod strict;
mod validate;

/// The version of the specification that this runtime follows.
pub const OCI_VERSION: &str = "1.3.0";

pub use defaults::{
    default_capabilities, default_linux, default_masked_paths, default_mounts, default_namespaces,
    default_readonly_paths, default_spec,
};
pub use read::{LONGEST_BYTES, parse, parse_process, read, read_bounded};
pub use strict::SpecError;
pub(crate) use strict::{check, check_process};
pub use validate::{InvalidSpec, validate};
