//! Kernel interfaces that rustix lacks. All unsafe code of the crate is here.

mod events;
mod fanotify;

pub(crate) use events::{Event, EventLog};
pub(crate) use fanotify::{Answer, answer, mark, open_group, unmark};
