//! Layers as file systems: what both the store's unpacker and the index of a layer's tar are made from.
//!
//! ```
//! use gaufre_lazy::layer::{Kind, Reader};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut reader = Reader::new(&[0_u8; 1024][..]);
//! while let Some(entry) = reader.next_entry()? {
//!     println!("{} is a directory: {}", String::from_utf8_lossy(&entry.path), entry.kind == Kind::Directory);
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod layer;
