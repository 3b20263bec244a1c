//! The holder: keeps handles open, and does nothing that it could die of.

use std::io;
use std::os::fd::AsFd;

use super::Handles;

/// Keeps `handles` until `control` gives a byte, then lets go of them: only when the layer is complete or not mounted any
/// more. That nobody can write to `control` any longer means nothing: whoever could may have been killed.
///
/// # Errors
/// `control` cannot be read; the handles are kept until the process ends all the same.
pub fn hold(handles: Handles, control: impl AsFd) -> io::Result<()> {
    let read = rustix::io::retry_on_intr(|| rustix::io::read(&control, &mut [0_u8; 1]));
    if read == Ok(1) {
        drop(handles);
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}
