//! Room for the index on a full disk: who removes an image to make room has to be able to write that down.
//!
//! SQLite needs blocks for the memory that its processes share, and dies of SIGBUS where a full file system cannot give
//! them; then it needs some for its log. So a file of that size is kept beside it, and given up when the disk is full.

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::space::NoSpace;
use crate::store::{Store, part};

/// What a few small transactions need, several times over.
const RESERVE_BYTES: u64 = 1 << 20;

/// With less than this the reserve is given up, and the index is not opened without it.
const LITTLE_BYTES: u64 = 256 << 10;

/// With more than this the reserve is made.
const PLENTY_BYTES: u64 = 8 << 20;

impl Store {
    /// Sees to it that the index can be opened and written to, if that is possible.
    ///
    /// # Errors
    /// The file system is full, and there is no reserve any more.
    pub(crate) fn make_room_for_index(&self) -> Result<(), NoSpace> {
        let Some(free_bytes) = self.free_bytes() else { return Ok(()) };
        if free_bytes > PLENTY_BYTES {
            self.keep_reserve();
        } else if free_bytes < LITTLE_BYTES {
            let _ = rustix::fs::unlinkat(&self.dir, part::RESERVE, AtFlags::empty());
            if self.free_bytes().is_some_and(|free_bytes| free_bytes < LITTLE_BYTES) {
                return Err(NoSpace::at(&self.root));
            }
        }
        Ok(())
    }

    /// Whether there is too little room for the index to be written to.
    pub(crate) fn is_full(&self) -> bool {
        let no_files =
            rustix::fs::fstatvfs(&self.dir).is_ok_and(|stat| stat.f_files > 0 && stat.f_favail == 0);
        no_files || self.free_bytes().is_some_and(|free_bytes| free_bytes < LITTLE_BYTES)
    }

    fn free_bytes(&self) -> Option<u64> {
        rustix::fs::fstatvfs(&self.dir).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// A reserve that cannot be made, for example on a file system without fallocate(2), is done without.
    fn keep_reserve(&self) {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, part::RESERVE, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => drop(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES)),
            Err(Errno::EXIST) => {}
            Err(error) => tracing::debug!(%error, "no room can be reserved for the index"),
        }
    }
}
