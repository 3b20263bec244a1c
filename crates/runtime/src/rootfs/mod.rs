//! The sandbox's file system: the root attached in a new mount namespace, everything mounted below it, and the way
//! into it. Nothing here is done by name inside the root: every target is a descriptor resolved within it.

pub(crate) mod bind;
pub(crate) mod cgroupfs;
mod copy_up;
pub(crate) mod devices;
mod fallback;
pub(crate) mod filesystem;
pub(crate) mod lent;
pub(crate) mod masks;
pub(crate) mod options;
mod outer;
pub(crate) mod pivot;
pub(crate) mod plan;
pub(crate) mod propagation;
mod remount;
pub(crate) mod root;
pub(crate) mod source;
pub(crate) mod target;
