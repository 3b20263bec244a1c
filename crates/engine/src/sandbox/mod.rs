//! A sandbox as it is kept on disk: what it was asked to be, what became of it, and how to find it.

mod catalog;
mod definition;
mod handle;
mod id;
mod leftovers;
mod lock;
mod name;
mod record;
mod state;
mod unreadable;

pub use catalog::FindError;
pub(crate) use catalog::{Catalog, RegisterError, private_dir};
pub use definition::{Definition, ImageRef, Mount, MountSource, ProcessSettings};
pub use handle::{Sandbox, Status};
pub use id::SandboxId;
pub(crate) use leftovers::Retired;
pub(crate) use lock::{KeeperLock, LockError, Locked, try_keeper_lock, wait_for as wait_for_lock};
pub(crate) use name::generate as generate_name;
pub use name::{NameError, SandboxName};
pub use record::RecordError;
pub(crate) use record::replace_json;
pub use state::{Exit, HolderRef, Phase, Run, RunState, Running};
pub use unreadable::UnreadableError;
