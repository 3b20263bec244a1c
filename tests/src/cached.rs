//! What is kept between runs.

use std::path::PathBuf;

/// The folder where what takes long to make is kept between runs: `$XDG_CACHE_HOME/gaufre` or `~/.cache/gaufre`.
pub fn cache_dir() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    std::env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map_or_else(home, PathBuf::from)
        .join("gaufre")
}

/// The OCI layout that holds the test images, each under its plain name: `base`, `python`, `redis`, `nginx`,
/// `postgresql`, `big`.
///
/// # Panics
///
/// If they have not been made.
pub fn images() -> PathBuf {
    let latest = cache_dir().join("images/latest");
    latest.canonicalize().unwrap_or_else(|_| {
        panic!("{} is missing: make the test images with `cargo xtask images`", latest.display())
    })
}
