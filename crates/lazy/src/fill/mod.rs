//! Filling a layer while it is in use.
//!
//! The data file is marked for fanotify's pre-content events (Linux 6.14), then its index is mounted over it. Whoever reads a
//! part that is missing waits in the kernel until the filler has fetched, verified and written it.
//!
//! ```text
//!  engine: Handles::set_up ── mount_index ── starts ─┬─> holder: keeps the Handles open, nothing else
//!                                                    └─> filler: fill(), dies when it likes
//!  next filler: Handles::copy_from(the holder), answers what the former left, goes on
//! ```
//!
//! - If the last holder of a fanotify group dies, the kernel lets reads of missing parts succeed, with zeros. So the group is
//!   held by a process that does nothing, beside the filler; readers wait while there is no filler.
//! - Events are logged by the very read(2) that takes them, in memory that the holder keeps too; a filler
//!   that takes over answers them first, by their numbers. So none is lost, whenever a filler is killed.
//! - If the holder dies, the filler makes the data file empty and ends: reads of what is not cached then fail, until the layer is
//!   set up again. Only if holder and filler are killed in the same instant nobody is left to do so; whoever else keeps
//!   the handles open ([`Handles::copy_from`]), such as the keeper of each sandbox, closes that gap.
//! - After a reboot a file is marked again before it is mounted: [`Handles::set_up`] comes first.

mod filler;
mod handles;
mod holder;
mod source;
mod stock;

pub use filler::{Filled, FillerError, Job, fill};
pub use handles::{Handles, Numbers};
pub use holder::hold;
pub use source::{FrameSource, ZstdFrames};
