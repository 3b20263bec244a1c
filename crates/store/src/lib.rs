//! The store: what gaufre keeps of images on disk, and the root filesystems made of it.
//!
//! Blobs (manifests, configs) lie under their digest; layers are unpacked once, under their diff ID, and shared by
//! all images that have them; a SQLite index knows images and names. Any number of processes use one store at a
//! time, and a kill or a power cut at any instant leaves one that the next process uses.
//!
//! ```
//! use gaufre_store::{Store, StoreOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::open(StoreOptions { root: dir.path().join("root"), run: dir.path().join("run") })?;
//! let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse()?;
//! let lease = store.lease()?;
//! store.put_blob(&digest, b"")?;
//! assert!(store.images().list()?.is_empty());
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod blob;
mod check;
mod digest;
mod gc;
mod images;
mod index;
mod layer;
mod lock;
mod prune;
mod record;
mod reserve;
mod reset;
mod rootfs;
mod sandbox;
mod space;
mod staging;
mod store;
mod stream;
mod tree;
mod turn;
mod unpack;
mod usage;
mod volumes;

pub use gaufre_lazy::layer::{LayerError, LayerLimits, TarError, TarFault, is_image_xattr};

pub use blob::BlobError;
pub use check::{CheckError, Finding, Report};
pub use digest::UnsupportedDigest;
pub use gc::{GcError, Reclaimed};
pub use images::{ImageError, ImageRecord, Images, NamedImage, Origin};
pub use index::IndexError;
pub use layer::{AddLayerError, LayerInfo, LayerOutcome};
pub use lock::Lease;
pub use prune::{PruneError, PruneOptions, Pruned};
pub use reset::ResetError;
pub use rootfs::{MountError, RootfsRequest};
pub use sandbox::SandboxError;
pub use space::NoSpace;
pub use store::{OpenError, Store, StoreOptions};
pub use tree::remove_tree;
pub use usage::{DiskUsage, InUse, Usage};
pub use volumes::{VolumeError, VolumeRecord, Volumes};
