//! A sandbox as it is kept on disk: what it was asked to be, what became of it, and how to find it.

mod catalog;
mod definition;
mod id;
mod name;
mod record;
mod sandbox;
mod state;

pub use catalog::FindError;
pub(crate) use catalog::{Catalog, RegisterError};
pub use definition::{Definition, ImageRef, Mount, MountSource, ProcessSettings};
pub use id::SandboxId;
pub(crate) use name::generate as generate_name;
pub use name::{NameError, SandboxName};
pub use record::RecordError;
pub(crate) use record::replace_json;
pub(crate) use sandbox::{KeeperLock, LockError};
pub use sandbox::{Sandbox, Status};
pub use state::{Exit, HolderRef, Phase, Run, RunState, Running};
