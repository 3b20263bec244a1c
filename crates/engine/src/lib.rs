//! The use cases of gaufre: pull, create, run, exec, stop and the rest, each a method of [`Engine`].
//!
//! This is the only crate that knows images, the store, the runtime and the network together. It prints nothing and
//! knows of no terminal; that is the CLI's.
//!
//! ```
//! use gaufre_engine::{Engine, EngineOptions};
//!
//! let dir = tempfile::tempdir()?;
//! let options = EngineOptions { root: Some(dir.path().join("root")), run: Some(dir.path().join("run")) };
//! match Engine::open(options) {
//!     Ok(engine) => assert!(engine.list(true)?.is_empty()),
//!     Err(error) => println!("{error}"), // Not root.
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acquire;
mod attach;
mod bundle;
mod collect;
mod create;
pub mod demo;
mod dirs;
mod engine;
mod exec;
mod failure;
mod firewall;
mod images;
pub mod init;
mod inspect;
pub mod keeper;
mod list;
mod load;
mod logs;
mod process;
mod progress;
mod pull;
mod read_logs;
mod recover;
mod rm;
mod sandbox;
pub mod settings;
mod start;
mod stop;
mod sys;
mod system;
mod volumes;
mod workdir;

pub use acquire::AcquireError;
pub use attach::{AttachError, AttachStreams, ClientFrame, Connection, FrameError, KeeperFrame};
pub use bundle::{BundleError, MountError, UserError};
pub use create::CreateError;
pub use dirs::Dirs;
pub use engine::{Engine, EngineOptions, OpenError};
pub use exec::{ExecError, ExecRequest, ExecSession, seal};
pub use failure::Failure;
pub use gaufre_image::Platform;
pub use gaufre_net::{PortMapping, Protocol};
pub use gaufre_store::{DiskUsage, Usage};
pub use images::{ImageSummary, ImagesError, RemovedImage};
pub use inspect::InspectError;
pub use list::{SandboxState, SandboxSummary};
pub use load::{LoadError, LoadSource};
pub use logs::{LogIter, LogRecord, LogsError, LogsOptions, Stream};
pub use progress::{LayerProgress, PullProgress};
pub use pull::{PullError, PullRequest, PulledImage};
pub use rm::{RemoveError, RemoveOptions};
pub use sandbox::{Exit, FindError, SandboxId, UnreadableError};
pub use start::{StartError, StartOptions, Started};
pub use stop::StopError;
pub use system::{CheckReport, Info, PruneOptions, PruneReport, SystemError};
pub use volumes::{Volume, VolumesError};
