//! Events, read straight into memory that outlives the reader.
//!
//! The kernel takes an event from its queue and writes it into a slot here within one read(2), which a signal does not cut
//! in two. So at every instant an event is in the queue, in a slot, or answered: whoever maps the memory after the reader was
//! killed finds what is left to answer. A slot is emptied after its event is answered and before its descriptor is closed,
//! hence no two slots hold the same number.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::fs::MemfdFlags;
use rustix::mm::{MapFlags, ProtFlags};

use super::fanotify::FAN_PRE_ACCESS;

/// Room for one event with its range, and not for two.
const SLOT_BYTES: usize = 64;
const SLOTS: usize = 64;
const LOG_BYTES: usize = SLOT_BYTES * SLOTS;

/// `FAN_EVENT_INFO_TYPE_RANGE`.
const INFO_TYPE_RANGE: u8 = 6;

/// A reader that waits.
#[derive(Debug)]
pub(crate) struct Event {
    /// What it is answered by.
    pub(crate) number: i32,
    /// What is to be read, in bytes of the file.
    pub(crate) range: Range<u64>,
}

/// The slots, shared with whoever holds the memory's descriptor.
#[derive(Debug)]
pub(crate) struct EventLog {
    start: *mut u8,
}

// SAFETY: the memory stays mapped as long as this exists; each slot is used by one thread at a time, as the callers' contract.
unsafe impl Send for EventLog {}
// SAFETY: as above.
unsafe impl Sync for EventLog {}

impl EventLog {
    /// The number of slots.
    pub(crate) const SLOTS: usize = SLOTS;

    /// Memory for a log, all slots empty.
    pub(crate) fn create() -> io::Result<OwnedFd> {
        let memory = rustix::fs::memfd_create("gaufre-events", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, LOG_BYTES as u64)?;
        Ok(memory)
    }

    pub(crate) fn map(memory: impl AsFd) -> io::Result<Self> {
        if rustix::fs::fstat(&memory)?.st_size != LOG_BYTES.cast_signed() as i64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice, of a memory file that nobody makes shorter.
        let start = unsafe {
            rustix::mm::mmap(ptr::null_mut(), LOG_BYTES, protection, MapFlags::SHARED, memory.as_fd(), 0)
        }?;
        Ok(Self { start: start.cast() })
    }

    /// Takes the next event into the empty slot `slot`, which no other thread uses meanwhile. `None` if there is none now.
    /// The descriptor is the event's own: to be closed after [`Self::clear`].
    pub(crate) fn read(&self, slot: usize, group: impl AsFd) -> io::Result<Option<(Event, OwnedFd)>> {
        let place = self.place(slot)?;
        // SAFETY: the slot has SLOT_BYTES within the mapping.
        let len = unsafe { libc::read(group.as_fd().as_raw_fd(), place.cast(), SLOT_BYTES) };
        if len < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        }
        let Some(event) = self.held(slot)? else { return Ok(None) };
        // SAFETY: the kernel opened it for this process with the event, and nobody else has taken it.
        let fd = unsafe { OwnedFd::from_raw_fd(event.number) };
        Ok(Some((event, fd)))
    }

    /// The event in a slot.
    pub(crate) fn held(&self, slot: usize) -> io::Result<Option<Event>> {
        let place = self.place(slot)?;
        let mut bytes = [0; SLOT_BYTES];
        // SAFETY: the slot has SLOT_BYTES within the mapping, and nothing overlaps a local array.
        unsafe { ptr::copy_nonoverlapping(place, bytes.as_mut_ptr(), SLOT_BYTES) };
        Ok(parse(&bytes))
    }

    /// Empties a slot.
    pub(crate) fn clear(&self, slot: usize) -> io::Result<()> {
        let place = self.place(slot)?;
        // SAFETY: the slot has SLOT_BYTES within the mapping.
        unsafe { ptr::write_bytes(place, 0, SLOT_BYTES) };
        Ok(())
    }

    fn place(&self, slot: usize) -> io::Result<*mut u8> {
        if slot >= SLOTS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: it lies within the mapping.
        Ok(unsafe { self.start.add(slot * SLOT_BYTES) })
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nothing refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.start.cast(), LOG_BYTES) };
    }
}

/// `struct fanotify_event_metadata` and the `struct fanotify_event_info_range` behind it.
fn parse(bytes: &[u8; SLOT_BYTES]) -> Option<Event> {
    let u16_at = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let u64_at = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let number = bytes[16..].first_chunk().map_or(-1, |bytes| i32::from_ne_bytes(*bytes));
    if u64_at(8) & FAN_PRE_ACCESS == 0 || number < 0 {
        return None;
    }
    let info = usize::from(u16_at(6));
    // One without a range asks for everything.
    let range = match bytes.get(info) {
        Some(&INFO_TYPE_RANGE) if info + 24 <= SLOT_BYTES => {
            let start = u64_at(info + 8);
            start..start.saturating_add(u64_at(info + 16))
        }
        _ => 0..u64::MAX,
    };
    Some(Event { number, range })
}
