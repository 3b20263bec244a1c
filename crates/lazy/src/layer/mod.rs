//! What a layer's tar stream means: its entries, names, whiteouts, attributes and limits.
//!
//! The index writer of this crate and the store's unpacker both read layers by these rules, so that they accept and
//! refuse the same layers and show the same files.

mod attributes;
mod bounded;
mod budget;
mod error;
mod limits;
mod name;
mod tar;

pub use attributes::{OPAQUE, ORIGIN, Xattr, allowed, is_image_xattr};
pub use bounded::Bounded;
pub use budget::DirectoryBudget;
pub use error::LayerError;
pub use limits::LayerLimits;
pub use name::{Meaning, join, link_target, meaning};
pub use tar::{Entry, Holes, Kind, Piece, Reader, TarError, TarFault, Time};
