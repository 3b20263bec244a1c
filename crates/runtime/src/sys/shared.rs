//! A word of memory that a process shares with those it forks: mmap(2), `MAP_SHARED | MAP_ANONYMOUS`.

use std::ptr::NonNull;
use std::sync::atomic::AtomicI32;

/// A number that both sides of a fork see. It is -1 at first.
#[derive(Debug)]
pub(crate) struct SharedWord {
    place: NonNull<AtomicI32>,
}

impl SharedWord {
    /// Makes one, on a page of its own.
    pub(crate) fn new() -> std::io::Result<Self> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh mapping at a place of the kernel's choosing overlaps nothing of ours.
        let page =
            unsafe { libc::mmap(std::ptr::null_mut(), size_of::<AtomicI32>(), protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        let place = NonNull::new(page.cast::<AtomicI32>()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        let word = Self { place };
        word.value().store(-1, std::sync::atomic::Ordering::Relaxed);
        Ok(word)
    }

    /// The number.
    pub(crate) fn value(&self) -> &AtomicI32 {
        // SAFETY: the page is aligned, as long as the number, zeroed by the kernel and never unmapped.
        unsafe { self.place.as_ref() }
    }
}
