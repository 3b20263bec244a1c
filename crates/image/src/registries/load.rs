//! Which files there are and in which order they count.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{RegistriesConf, RegistriesConfError};

/// A file larger than this is refused (bytes).
const MAX_FILE_BYTES: u64 = 4 << 20;

impl RegistriesConf {
    /// Reads the files of this machine and user, as containers-registries.conf(5) and its drop-in rules say:
    /// `$CONTAINERS_REGISTRIES_CONF` alone, or `~/.config/containers/registries.conf` before
    /// `/etc/containers/registries.conf`, then the `registries.conf.d` directories of /etc and of the user, then the short
    /// names that podman recorded. Missing files are no error.
    ///
    /// # Errors
    /// [`RegistriesConfError`] names the file that is broken.
    pub fn load() -> Result<Self, RegistriesConfError> {
        if let Some(path) = std::env::var_os("CONTAINERS_REGISTRIES_CONF").filter(|path| !path.is_empty()) {
            return Self::load_files(&[PathBuf::from(path)], &[]);
        }
        let config = user_directory("XDG_CONFIG_HOME", ".config");
        let own = config.map(|directory| directory.join("containers"));
        let own_file = own.as_ref().map(|own| own.join("registries.conf")).filter(|path| path.exists());
        let main = own_file.unwrap_or_else(|| PathBuf::from("/etc/containers/registries.conf"));
        let drop_ins = [
            Some(PathBuf::from("/etc/containers/registries.conf.d")),
            own.map(|own| own.join("registries.conf.d")),
        ];
        let recorded = match rustix::process::geteuid().is_root() {
            true => Some(PathBuf::from("/var/cache/containers/short-name-aliases.conf")),
            false => user_directory("XDG_CACHE_HOME", ".cache")
                .map(|cache| cache.join("containers/short-name-aliases.conf")),
        };
        let drop_ins: Vec<PathBuf> = drop_ins.into_iter().flatten().collect();
        let mut conf = Self::load_files(&[main], &drop_ins)?;
        if let Some(recorded) = recorded {
            conf.add_path(&recorded)?;
        }
        Ok(conf)
    }

    /// Reads `files` in order, then the `*.conf` files of each of `drop_ins` by name. What does not exist is skipped.
    ///
    /// # Errors
    /// As [`RegistriesConf::load`].
    pub fn load_files(files: &[PathBuf], drop_ins: &[PathBuf]) -> Result<Self, RegistriesConfError> {
        let mut conf = Self::default();
        for path in files {
            conf.add_path(path)?;
        }
        for directory in drop_ins {
            for path in conf_files(directory)? {
                conf.add_path(&path)?;
            }
        }
        Ok(conf)
    }

    fn add_path(&mut self, path: &Path) -> Result<(), RegistriesConfError> {
        let read = |source| RegistriesConfError::Read { path: path.to_owned(), source };
        let bytes = match crate::bounded::read_file(path, MAX_FILE_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(read)?,
        };
        let text = String::from_utf8(bytes)
            .map_err(|error| read(std::io::Error::new(ErrorKind::InvalidData, error)))?;
        self.add_file(path, &text)
    }
}

fn conf_files(directory: &Path) -> Result<Vec<PathBuf>, RegistriesConfError> {
    let read = |source| RegistriesConfError::Read { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(read)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(variable).or_else(|| set("HOME").map(|home| home.join(below_home)))
}
