//! All sandboxes of a store: registered under an ID and a name, found by either.

use super::lock::wait_for;
use super::record::{RecordError, read_json, replace_json};
use super::{Definition, Sandbox, SandboxId, SandboxName, UnreadableError};
use crate::dirs::Dirs;
use crate::failure::Failure;
use gaufre_store::remove_tree;
use rustix::fs::FlockOperation;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// The sandboxes below one root.
#[derive(Debug)]
pub(crate) struct Catalog<'a> {
    pub(super) dirs: &'a Dirs,
}

/// No single sandbox goes by that name.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing has this name or ID.
    #[error("no container with name or ID {0:?}")]
    NoSuchSandbox(String),
    /// Several IDs begin so.
    #[error("{prefix:?} is the beginning of several container IDs: {}", candidates.join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Some of those that begin so.
        candidates: Vec<String>,
    },
    /// The sandboxes cannot be listed.
    #[error("cannot list the containers in {}", path.display())]
    List {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record is unreadable.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
}

impl Failure for FindError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable(error) => error.hint(),
            Self::NoSuchSandbox(_) | Self::Ambiguous { .. } | Self::List { .. } => None,
        }
    }
}

/// A new sandbox cannot be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Somebody has the name.
    #[error("the name {name:?} is in use by container {id}")]
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        id: String,
    },
    /// A directory or file cannot be made.
    #[error("cannot create {}", path.display())]
    Create {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The definition cannot be written.
    #[error("cannot record container {id}")]
    Record {
        /// Which.
        id: String,
        /// Why.
        source: RecordError,
    },
}

pub(super) const NAMES: &str = "names";
pub(super) const DEFINITION: &str = "definition.json";
pub(super) const LOGS: &str = "logs";
/// A directory of this prefix is a sandbox that is not there yet, or no more.
pub(super) const UNFINISHED: &str = ".unfinished-";

impl<'a> Catalog<'a> {
    pub(crate) fn new(dirs: &'a Dirs) -> Self {
        Self { dirs }
    }

    /// Writes the sandbox's directory and gives it its name; both are there, or neither.
    pub(crate) fn register(&self, definition: Definition) -> Result<Sandbox, RegisterError> {
        let id = definition.id.clone();
        let durable = !definition.settings.remove_on_exit;
        let create = |path: PathBuf| {
            private_dir(&path).map_err(|source| RegisterError::Create { path: path.clone(), source })
        };
        let _lock = self.lock_names()?;
        self.check_name_is_free(&definition.name)?;

        let unfinished = self.dirs.sandboxes().join(format!("{UNFINISHED}{id}"));
        let sandbox = Sandbox::new(self.dirs, definition);
        let made = create(unfinished.clone())
            .and_then(|()| create(unfinished.join(LOGS)))
            .and_then(|()| {
                replace_json(&unfinished.join(DEFINITION), &sandbox.definition, durable)
                    .map_err(|source| RegisterError::Record { id: id.short().to_owned(), source })
            })
            .and_then(|()| {
                let link = self.name_link(&sandbox.definition.name);
                let _ = fs::remove_file(&link); // Of a sandbox that is gone: its name was found free.
                symlink(id.as_str(), &link).map_err(|source| RegisterError::Create { path: link, source })
            })
            .and_then(|()| {
                fs::rename(&unfinished, sandbox.directory())
                    .map_err(|source| RegisterError::Create { path: sandbox.directory().to_owned(), source })
            });
        match made {
            Ok(()) => Ok(sandbox),
            Err(error) => {
                let _ = remove_tree(&unfinished);
                Err(error)
            }
        }
    }

    /// The sandbox whose name is `text`, or whose ID begins with it.
    pub(crate) fn find(&self, text: &str) -> Result<Sandbox, FindError> {
        if let Ok(name) = SandboxName::try_from(text.to_owned())
            && let Ok(target) = fs::read_link(self.name_link(&name))
            && let Ok(id) = SandboxId::try_from(target.to_string_lossy().into_owned())
            && let Some(sandbox) = self.load(&id)?
        {
            return Ok(sandbox);
        }
        let mut candidates: Vec<SandboxId> =
            self.ids()?.into_iter().filter(|id| !text.is_empty() && id.as_str().starts_with(text)).collect();
        match candidates.len() {
            0 => Err(FindError::NoSuchSandbox(text.to_owned())),
            1 => self.load(&candidates.remove(0))?.ok_or_else(|| FindError::NoSuchSandbox(text.to_owned())),
            _ => Err(FindError::Ambiguous {
                prefix: text.to_owned(),
                candidates: candidates.iter().take(5).map(|id| id.short().to_owned()).collect(),
            }),
        }
    }

    /// All sandboxes, the newest first. One whose definition is unreadable is reported and passed over: it must not
    /// keep anybody from the others.
    pub(crate) fn list(&self) -> Result<Vec<Sandbox>, FindError> {
        let (sandboxes, damaged) = self.survey()?;
        for error in damaged {
            let id = error.id.short();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a damaged container is passed over (gaufre rm --force {id} removes it)"
            );
        }
        Ok(sandboxes)
    }

    /// All sandboxes, the newest first, and why others cannot be read.
    pub(crate) fn survey(&self) -> Result<(Vec<Sandbox>, Vec<UnreadableError>), FindError> {
        let (mut sandboxes, mut damaged) = (Vec::new(), Vec::new());
        for id in self.ids()? {
            match self.load(&id) {
                Ok(sandbox) => sandboxes.extend(sandbox),
                Err(error) => damaged.push(error),
            }
        }
        sandboxes.sort_unstable_by_key(|sandbox: &Sandbox| std::cmp::Reverse(sandbox.definition.created_at));
        Ok((sandboxes, damaged))
    }

    /// The sandbox with this ID; `None` when it is gone.
    pub(crate) fn load(&self, id: &SandboxId) -> Result<Option<Sandbox>, UnreadableError> {
        let path = self.dirs.sandboxes().join(id.as_str()).join(DEFINITION);
        read_json(&path)
            .map(|definition| definition.map(|definition| Sandbox::new(self.dirs, definition)))
            .map_err(|source| UnreadableError { id: id.clone(), source })
    }

    /// The IDs of all sandboxes.
    pub(crate) fn ids(&self) -> Result<Vec<SandboxId>, FindError> {
        ids_in(self.dirs.sandboxes())
    }

    /// The IDs of all sandboxes that have, or had at a keeper's death, a running state.
    pub(crate) fn running_ids(&self) -> Result<Vec<SandboxId>, FindError> {
        ids_in(self.dirs.running())
    }

    fn check_name_is_free(&self, name: &SandboxName) -> Result<(), RegisterError> {
        let link = self.name_link(name);
        match fs::read_link(&link) {
            Ok(target) if self.dirs.sandboxes().join(&target).join(DEFINITION).exists() => {
                Err(RegisterError::NameInUse {
                    name: name.to_string(),
                    id: target.to_string_lossy().chars().take(12).collect(),
                })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn name_link(&self, name: &SandboxName) -> PathBuf {
        self.dirs.root.join(NAMES).join(name.as_str())
    }

    pub(super) fn lock_names(&self) -> Result<OwnedFd, RegisterError> {
        let names = self.dirs.root.join(NAMES);
        private_dir(&names).map_err(|source| RegisterError::Create { path: names, source })?;
        let path = self.dirs.lock("names.lock");
        wait_for(&path, FlockOperation::LockExclusive)
            .map_err(|source| RegisterError::Create { path, source })
    }
}

/// Nobody but root has business here: what lies below are secrets in environments, and set-user-ID programs of images.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn ids_in(path: PathBuf) -> Result<Vec<SandboxId>, FindError> {
    Ok(entries(&path)
        .map_err(|source| FindError::List { path, source })?
        .into_iter()
        .filter_map(|entry| SandboxId::try_from(entry.file_name().to_string_lossy().into_owned()).ok())
        .collect())
}

pub(super) fn entries(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(path) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use serde_json::json;

    #[test]
    fn a_container_of_which_a_part_cannot_be_made_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { root: dir.path().join("root"), run: dir.path().join("run") };
        let id = "0".repeat(64);
        let definition: Definition = serde_json::from_value(json!({
            "id": id, "name": "one", "created_at": "2024-01-01T00:00:00Z", "mounts": [],
            "image": {"id": format!("sha256:{id}"), "name": "image", "layers": []},
            "process": {"args": ["true"], "entrypoint_len": 0, "env": [], "cwd": "/", "user": null,
                "stop_signal": 15, "exposed_ports": []},
            "settings": Settings::default(),
        }))
        .unwrap();
        // In the way of the second directory, as a disk that is full after the first.
        let unfinished = dirs.sandboxes().join(format!("{UNFINISHED}{id}"));
        fs::create_dir_all(&unfinished).unwrap();
        fs::write(unfinished.join(LOGS), "").unwrap();
        let error = Catalog::new(&dirs).register(definition.clone()).unwrap_err();
        assert!(matches!(error, RegisterError::Create { .. }), "{error}");
        assert_eq!(fs::read_dir(dirs.sandboxes()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(dirs.root.join(NAMES)).unwrap().count(), 0);
        Catalog::new(&dirs).register(definition).unwrap();
    }
}
