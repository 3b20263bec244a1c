//! The line between a keeper and those who attach to its sandbox.
//!
//! A Unix stream socket carries frames both ways: one byte of kind, four bytes of length (little endian), the payload.
//! The client opens with [`ClientFrame::Hello`], which says what it wants to see. The keeper's last frame is
//! [`KeeperFrame::Exited`], sent when everything of the run has been taken down; a line that ends without it means
//! that the keeper died and that another one can be attached to.

mod connection;
mod frame;

pub use connection::{AttachError, AttachStreams, Connection};
pub(crate) use connection::{connect, listen};
pub(crate) use frame::FrameBuffer;
pub use frame::{ClientFrame, FrameError, KeeperFrame};
