//! One registries.conf file, and how later files change what earlier ones said.

use std::collections::BTreeMap;
use std::path::Path;

use super::{RegistriesConf, RegistriesConfError};

#[derive(serde::Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    aliases: BTreeMap<String, String>,
    registry: Vec<RegistryEntry>,
    /// Version 1.
    registries: Option<toml::Table>,
}

/// A `[[registry]]` table.
#[derive(serde::Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct RegistryEntry {
    pub(super) prefix: String,
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirror_by_digest_only: bool,
    pub(super) mirror: Vec<MirrorEntry>,
}

/// A `[[registry.mirror]]` table.
#[derive(serde::Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct MirrorEntry {
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) pull_from_mirror: PullFromMirror,
}

/// For which references a mirror is asked.
#[derive(serde::Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PullFromMirror {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

impl RegistriesConf {
    /// Adds a file: its search list replaces, its registries replace those of the same prefix, its aliases are merged and
    /// an empty one removes.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), RegistriesConfError> {
        let file: File = toml::from_str(text).map_err(|source| RegistriesConfError::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        if file.registries.is_some() {
            return Err(RegistriesConfError::Version1 { path: path.to_owned() });
        }
        if let Some(search) = file.unqualified_search_registries {
            self.search = search;
        }
        self.aliases.extend(file.aliases);
        for mut entry in file.registry {
            if entry.prefix.is_empty() {
                entry.prefix = entry.location.clone();
            }
            entry.prefix.truncate(entry.prefix.trim_end_matches('/').len());
            entry.location.truncate(entry.location.trim_end_matches('/').len());
            let name = entry.prefix.strip_prefix("*.").unwrap_or(&entry.prefix);
            if name.is_empty() || name.contains(['*', ' ', '@']) || name.contains("://") {
                let (path, prefix) = (path.to_owned(), entry.prefix);
                return Err(RegistriesConfError::Prefix { path, prefix });
            }
            self.registries.retain(|known| known.prefix != entry.prefix);
            self.registries.push(entry);
        }
        Ok(())
    }
}
