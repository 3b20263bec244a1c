//! The engine itself: a store, and the verbs on it.

use crate::dirs::Dirs;
use crate::failure::Failure;
use crate::keeper::WaitingKeeper;
use crate::sandbox::{Catalog, SandboxId};
use crate::settings::NetworkMode;
use gaufre_image::{RegistriesConf, RegistriesConfError};
use gaufre_store::{Store, StoreOptions};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use std::cell::{OnceCell, RefCell};
use std::io;
use std::path::PathBuf;

/// Where to work; what is `None` is the system's own (`/var/lib/gaufre`, `/run/gaufre`).
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Data that survives a reboot.
    pub root: Option<PathBuf>,
    /// State of what runs.
    pub run: Option<PathBuf>,
}

/// All use cases, each a method in the module of its name.
#[derive(Debug)]
pub struct Engine {
    pub(crate) dirs: Dirs,
    store: OnceCell<Store>,
    registries: OnceCell<RegistriesConf>,
    expected: RefCell<Expected>,
}

/// A sandbox that is about to be created and started.
#[derive(Debug, Default)]
struct Expected {
    id: Option<SandboxId>,
    keeper: Option<(SandboxId, WaitingKeeper)>,
}

/// There is no engine to be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not root.
    #[error(
        "gaufre needs root to make namespaces, mounts and networks, and this is user {uid}: run it with sudo"
    )]
    NotRoot {
        /// Who we are.
        uid: u32,
    },
    /// A directory cannot be made or used.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store cannot be used.
    #[error("cannot open the store in {}", root.display())]
    Store {
        /// Its root.
        root: PathBuf,
        /// Why.
        source: Box<gaufre_store::OpenError>,
    },
}

impl Failure for OpenError {
    fn hint(&self) -> Option<String> {
        match self {
            // The message is the whole of it, so that a script's log has one line.
            Self::NotRoot { .. } => None,
            Self::Store { source, .. } if matches!(**source, gaufre_store::OpenError::Layout { .. }) => {
                Some(source.hint().to_owned())
            }
            Self::Directory { .. } | Self::Store { .. } => {
                Some("Name writable directories with --root and --run.".to_owned())
            }
        }
    }
}

impl Engine {
    /// Finds the store; it is opened when a verb needs it.
    ///
    /// # Errors
    /// When this is not root, or a directory is not to be had.
    pub fn open(options: EngineOptions) -> Result<Self, OpenError> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            return Err(OpenError::NotRoot { uid: uid.as_raw() });
        }
        let system = Dirs::system();
        // Keepers work in `/`, whatever directory this was said in.
        let absolute = |path: PathBuf| {
            std::path::absolute(&path).map_err(|source| OpenError::Directory { path, source })
        };
        let dirs = Dirs {
            root: options.root.map_or(Ok(system.root), absolute)?,
            run: options.run.map_or(Ok(system.run), absolute)?,
        };
        Ok(Self { dirs, store: OnceCell::new(), registries: OnceCell::new(), expected: RefCell::default() })
    }

    /// Where this engine works.
    #[must_use]
    pub fn dirs(&self) -> &Dirs {
        &self.dirs
    }

    pub(crate) fn store(&self) -> Result<&Store, OpenError> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        // SQLite's own words for a root that cannot be written say nothing of it.
        match access(&self.dirs.root, Access::WRITE_OK) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                return Err(OpenError::Directory { path: self.dirs.root.clone(), source: errno.into() });
            }
        }
        let options = StoreOptions { root: self.dirs.root.clone(), run: self.dirs.run.clone() };
        let store = Store::open(options)
            .map_err(|source| OpenError::Store { root: self.dirs.root.clone(), source: Box::new(source) })?;
        Ok(self.store.get_or_init(|| store))
    }

    /// What registries.conf says, as it was when it was first asked.
    pub(crate) fn registries(&self) -> Result<&RegistriesConf, RegistriesConfError> {
        if let Some(conf) = self.registries.get() {
            return Ok(conf);
        }
        let conf = RegistriesConf::load()?;
        Ok(self.registries.get_or_init(|| conf))
    }

    /// Says that the next sandbox to be created will be started at once, with this network: its keeper is loaded
    /// meanwhile.
    pub fn expect_start(&self, network: &NetworkMode) {
        // Without one, or if something fails here, the start does all of it, and says what is wrong.
        let Ok(id) = SandboxId::random() else { return };
        let Ok(keeper) = WaitingKeeper::start(&self.dirs, &id, network.is_own()) else { return };
        self.expected.replace(Expected { id: Some(id.clone()), keeper: Some((id, keeper)) });
    }

    /// The ID that the next sandbox is to have.
    pub(crate) fn next_id(&self) -> io::Result<SandboxId> {
        self.expected.borrow_mut().id.take().map_or_else(SandboxId::random, Ok)
    }

    /// The keeper that waits for the sandbox called `id`.
    pub(crate) fn waiting_keeper(&self, id: &SandboxId) -> Option<WaitingKeeper> {
        let waiting = self.expected.borrow_mut().keeper.take_if(|(whose, _)| whose == id);
        waiting.map(|(_, keeper)| keeper)
    }

    /// What can be closed while this process waits for another, so that its own end takes less time.
    pub(crate) fn rest(&self) {
        if let Some(store) = self.store.get() {
            store.close_index();
        }
    }

    pub(crate) fn catalog(&self) -> Catalog<'_> {
        Catalog::new(&self.dirs)
    }
}
