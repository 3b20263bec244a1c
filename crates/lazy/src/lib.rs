//! Layers as file systems: the index of a layer's tar, which lets the kernel mount the tar as it is.
//!
//! An index is made from the stream of a layer once. Together with the tar it is an EROFS file system; layers stack under
//! overlayfs as unpacked directories do.
//!
//! ```
//! use std::io::Cursor;
//!
//! use gaufre_lazy::layer::LayerLimits;
//! use gaufre_lazy::write_index;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An archive with nothing in it: two blocks of zeros.
//! let tar = [0_u8; 1024];
//! let mut index = Cursor::new(Vec::new());
//! let indexed = write_index(&tar[..], &mut index, &LayerLimits::default())?;
//! assert_eq!((indexed.files, indexed.tar_bytes), (0, 1024));
//! assert_eq!(index.get_ref()[1024..1028], 0xe0f5_e1e2_u32.to_le_bytes());
//! # Ok(())
//! # }
//! ```
//!
//! [`frames`] are the pieces in which a layer that is not there yet is fetched, verified and written into the tar.
//! [`fill`] does that while the layer is in use. [`layer`] holds the rules by which layers are read, here and by the store's unpacker.

#![deny(unsafe_code)]

mod erofs;
pub mod fill;
pub mod frames;
mod index;
pub mod layer;
mod mount;
pub mod rootfs;
#[allow(unsafe_code)]
mod sys;

pub use index::{IndexError, Indexed, write_index};
pub use mount::{MountError, mount_index};
