//! Frames: the pieces in which a layer's data is fetched and verified, and the files that tell of them.
//!
//! | file | what | class |
//! |---|---|---|
//! | `data` | the decompressed tar, sparse while it is filled | [`DataFile`] |
//! | `frames` | where each frame is in the blob, and its SHA-256 | [`FrameMap`] |
//! | `present` | which frames are in `data` | [`Present`] |
//! | `skeleton` | the tar without the data of its files, for the index to be made of | [`Skeleton`] |
//! | `trace` | which frames a run touched, in order | [`Trace`] |

mod data;
mod map;
mod present;
mod sealed;
mod skeleton;
mod trace;

pub use data::{DataFile, FillError};
pub use map::{FRAME_BYTES, Frame, FrameMap};
pub use present::Present;
pub use sealed::FormatError;
pub use skeleton::Skeleton;
pub use trace::Trace;
