//! The frames that are there, shared by the threads of a filler: each is fetched once, whoever asks first.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::FrameSource;
use crate::frames::{DataFile, FillError, FrameMap, Trace};

pub(super) struct Stock<'a> {
    map: &'a FrameMap,
    source: &'a dyn FrameSource,
    patience: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    data: DataFile,
    /// Being fetched.
    busy: BTreeSet<u32>,
    trace: Trace,
    /// Readers that wait.
    waiting: usize,
    ending: Option<Ending>,
}

/// How a filler ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everything is there.
    Complete,
    /// Another filler may do better.
    Failed,
    /// The holder has died: nothing may be read any more.
    Closed,
}

/// Why a frame is not there.
pub(super) enum NoFrame {
    /// The source's last error.
    Source(io::Error),
    Fill(FillError),
}

impl<'a> Stock<'a> {
    pub(super) fn new(
        map: &'a FrameMap,
        source: &'a dyn FrameSource,
        patience: Duration,
        data: DataFile,
    ) -> Self {
        let trace = Trace::new(*map.diff_id(), map.len());
        let state = State { data, busy: BTreeSet::new(), trace, waiting: 0, ending: None };
        Self { map, source, patience, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// For a reader that waits.
    pub(super) fn demand(&self, frame: u32) -> Result<(), NoFrame> {
        {
            let mut state = self.lock();
            state.trace.touch(frame);
            state.waiting += 1;
        }
        let done = self.get(frame, Some(Instant::now() + self.patience));
        self.lock().waiting -= 1;
        self.changed.notify_all();
        done
    }

    /// For the background: readers go first.
    pub(super) fn prefetch(&self, frame: u32) -> Result<(), NoFrame> {
        let mut state = self.lock();
        while state.waiting > 0 && state.ending.is_none() {
            state = self.wait(state, Duration::from_millis(100));
        }
        drop(state);
        self.get(frame, None)
    }

    /// Asks the source again and again until `until`; without, once.
    fn get(&self, number: u32, until: Option<Instant>) -> Result<(), NoFrame> {
        let Some(frame) = self.map.frame(number) else { return Ok(()) };
        let mut pause = Duration::from_millis(20);
        loop {
            {
                let mut state = self.lock();
                while !state.data.has(number) && state.busy.contains(&number) {
                    state = self.wait(state, Duration::from_millis(100));
                }
                if state.data.has(number) {
                    return Ok(());
                }
                state.busy.insert(number);
            }
            let fetched = self.source.frame(&frame);
            let mut state = self.lock();
            state.busy.remove(&number);
            let stored = match fetched {
                Ok(data) if state.ending.is_none() => state.data.store(&frame, &data).map_err(NoFrame::Fill),
                Ok(_) => Err(NoFrame::Source(io::ErrorKind::Interrupted.into())),
                Err(error) => Err(NoFrame::Source(error)),
            };
            self.changed.notify_all();
            match stored {
                Err(NoFrame::Source(_))
                    if state.ending.is_none()
                        && until.is_some_and(|until| Instant::now() + pause < until) =>
                {
                    drop(self.wait(state, pause));
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                stored => return stored,
            }
        }
    }

    /// What was written since the last time, to be made durable.
    /// If that are fewer than `least`, nothing.
    pub(super) fn take_written(&self, least: usize) -> Vec<u32> {
        self.lock().data.take_written(least)
    }

    pub(super) fn trace(&self) -> Trace {
        self.lock().trace.clone()
    }

    /// Nothing more is written from now on. Whether that is so: a complete layer is not closed, a closed one not completed.
    pub(super) fn end(&self, how: Ending) -> bool {
        let mut state = self.lock();
        let may = match (how, state.ending) {
            (Ending::Closed, Some(Ending::Complete)) | (Ending::Complete, Some(_)) => false,
            (Ending::Failed, Some(_)) => true,
            _ => {
                state.ending = Some(how);
                true
            }
        };
        drop(state);
        self.changed.notify_all();
        may
    }

    /// Whether nobody may read any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().ending == Some(Ending::Closed)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.lock().ending.is_some()
    }

    /// Waits for as long, or until the end.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while state.ending.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a thread that died left is whole: every change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, time: Duration) -> MutexGuard<'s, State> {
        self.changed.wait_timeout(state, time).map_or_else(|error| error.into_inner().0, |(state, _)| state)
    }
}
