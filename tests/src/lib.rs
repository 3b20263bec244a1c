//! Fixtures for end-to-end tests: real registries, real images, a `gaufre` with a store of its own, and a witness that
//! nothing is left behind. Every guard ends what it started, by process id, when it is dropped.

#![forbid(unsafe_code)]

use std::path::PathBuf;

/// The folder where what takes long to make is kept between runs: `$XDG_CACHE_HOME/gaufre` or `~/.cache/gaufre`.
pub fn cache_dir() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    std::env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map_or_else(home, PathBuf::from)
        .join("gaufre")
}
