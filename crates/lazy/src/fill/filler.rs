//! The filler: answers readers, and fetches the rest behind them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use super::stock::{Ending, NoFrame, Stock};
use super::{FrameSource, Handles};
use crate::frames::{DataFile, FillError, FrameMap, Present, Trace};
use crate::sys::{self, Answer, Event, EventLog};

/// Frames that are written before they are made durable together.
const BATCH: usize = 64;
/// How long the background waits before it asks again for frames that could not be had.
const PAUSE: Duration = Duration::from_secs(1);

/// The slot for what is asked while a layer is closed.
const LAST_SLOT: usize = EventLog::SLOTS - 1;

/// A layer to be filled.
pub struct Job<'a> {
    /// Of the marked data file.
    pub handles: &'a Handles,
    /// The holder's pidfd.
    pub holder: BorrowedFd<'a>,
    /// Where its frames are and what they must be.
    pub map: &'a FrameMap,
    /// The file of the bits that say what is there, open for reading and writing.
    pub present: File,
    /// Where frames come from.
    pub source: &'a dyn FrameSource,
    /// Frames to be fetched before all others in the background: the trace of an earlier run.
    pub prefetch: &'a [u32],
    /// How long a reader waits for a source that fails, before the read fails with EIO.
    pub patience: Duration,
    /// Readers that are answered at the same time; 1 to 63.
    pub workers: usize,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("handles", self.handles)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// A complete layer: verified against its diff ID, its mark removed. It needs neither filler nor holder any more.
#[derive(Debug)]
pub struct Filled {
    /// What readers touched.
    pub trace: Trace,
}

/// A layer that is not complete.
#[derive(Debug, thiserror::Error)]
pub enum FillerError {
    /// The data file was made empty, so that nobody reads zeros for what is missing.
    #[error("the process that holds the events of a layer has died; the layer is closed")]
    HolderDied,
    /// A frame or the whole layer is not what it should be, or cannot be written.
    #[error(transparent)]
    Fill(#[from] FillError),
    /// The kernel refused a step.
    #[error("the filler of a layer cannot {step}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

fn cannot(step: &'static str) -> impl Fn(io::Error) -> FillerError {
    move |source| FillerError::Io { step, source }
}

/// Fills a layer until it is complete. First of all it answers what a killed filler left behind. A process fills a layer
/// once at most.
///
/// # Errors
/// [`FillerError`]. But for a dead holder, readers go on waiting, and a filler in another process can take over.
pub fn fill(job: Job<'_>) -> Result<Filled, FillerError> {
    let log = EventLog::map(&job.handles.log).map_err(cannot("map the log of events"))?;
    let bits = job.present.try_clone().map_err(cannot("copy a descriptor"))?;
    let present = Present::open(job.present, job.map).map_err(cannot("read which frames are there"))?;
    let data = job.handles.data.try_clone().map_err(cannot("copy a descriptor"))?;
    let data = DataFile::open(data, &present, job.map)?;
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
    let filler = Filler {
        handles: job.handles,
        map: job.map,
        log,
        stock: Stock::new(job.map, job.source, job.patience, data),
        wake: wake.map_err(|error| cannot("make an eventfd")(error.into()))?,
        failure: Mutex::new(None),
    };
    for slot in 0..EventLog::SLOTS {
        if let Some(event) = filler.log.held(slot).map_err(cannot("read the log of events"))? {
            filler.settle(slot, &event)?;
        }
    }
    thread::scope(|scope| {
        let filler = &filler;
        for slot in 0..job.workers.clamp(1, LAST_SLOT) {
            scope.spawn(move || filler.end_if_failed(filler.answer_readers(slot)));
        }
        scope.spawn(move || filler.end_if_failed(filler.fill_behind(present, job.prefetch)));
        filler.end_if_failed(filler.watch(job.holder, &bits));
    });
    let failure = filler.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some(error) => Err(error),
        None => Ok(Filled { trace: filler.stock.trace() }),
    }
}

struct Filler<'a> {
    handles: &'a Handles,
    map: &'a FrameMap,
    log: EventLog,
    stock: Stock<'a>,
    /// Readable when all threads are to end.
    wake: OwnedFd,
    /// The first.
    failure: Mutex<Option<FillerError>>,
}

impl Filler<'_> {
    /// Answers one event after the other, by way of one slot of the log, until the end.
    fn answer_readers(&self, slot: usize) -> Result<(), FillerError> {
        loop {
            let taken = self.log.read(slot, &self.handles.group).map_err(cannot("read an event"))?;
            if let Some((event, _open_until_settled)) = taken {
                if !self.settle(slot, &event)? {
                    return Ok(());
                }
                continue;
            }
            // What was asked for before the end is answered: nothing is left in the queue then.
            if self.wait_for(self.handles.group.as_fd())? == Woken::ToEnd {
                return Ok(());
            }
        }
    }

    /// Answers an event and takes it out of the log; or leaves it there, for the next filler.
    fn settle(&self, slot: usize, event: &Event) -> Result<bool, FillerError> {
        let Some(answer) = self.serve(event) else { return Ok(false) };
        sys::answer(&self.handles.group, event.number, answer).map_err(cannot("answer a reader"))?;
        self.log.clear(slot).map_err(cannot("clear an event"))?;
        Ok(true)
    }

    /// Gets what a reader waits for. `None` if this filler has failed and another may do better.
    fn serve(&self, event: &Event) -> Option<Answer> {
        for frame in self.map.touched(event.range.clone()) {
            if self.stock.is_closed() {
                return Some(Answer::Fail);
            }
            match self.stock.demand(frame) {
                Ok(()) => {}
                Err(_) if self.stock.is_ending() => {
                    return self.stock.is_closed().then_some(Answer::Fail);
                }
                Err(NoFrame::Source(error)) => {
                    tracing::warn!(frame, %error, "a read fails: its frame could not be fetched");
                    return Some(Answer::Fail);
                }
                Err(NoFrame::Fill(error)) => {
                    tracing::warn!(frame, %error, "a read fails");
                    return Some(Answer::Fail);
                }
            }
        }
        Some(Answer::Allow)
    }

    /// Fetches everything, then proves that it is the layer, and lets go of it.
    fn fill_behind(&self, mut present: Present, prefetch: &[u32]) -> Result<(), FillerError> {
        let data = &self.handles.data;
        let mut sync = |least: usize| -> Result<u32, FillerError> {
            let written = self.stock.take_written(least);
            if !written.is_empty() {
                present.add(&written, data).map_err(cannot("make frames durable"))?;
            }
            Ok(present.missing())
        };
        while sync(1)? > 0 {
            for frame in prefetch.iter().copied().chain(0..self.map.len()) {
                if self.stock.is_ending() {
                    return Ok(());
                }
                match self.stock.prefetch(frame) {
                    Ok(()) => {}
                    Err(_) if self.stock.is_ending() => return Ok(()),
                    Err(NoFrame::Fill(error @ FillError::Io { .. })) => return Err(error.into()),
                    Err(NoFrame::Fill(error)) => {
                        tracing::warn!(frame, %error, "a frame is fetched again");
                        self.stock.pause(PAUSE);
                    }
                    Err(NoFrame::Source(error)) => {
                        tracing::warn!(frame, %error, "a frame could not be fetched");
                        self.stock.pause(PAUSE);
                    }
                }
                sync(BATCH)?;
            }
        }
        DataFile::verify(data, self.map)?;
        // Not if the layer is being closed, or another thread has failed.
        if self.stock.end(Ending::Complete) {
            let unmarked = sys::unmark(&self.handles.group, data);
            unmarked.map_err(cannot("remove the mark of a complete layer"))?;
            self.wake();
        }
        Ok(())
    }

    /// Until the end, or the holder's.
    fn watch(&self, holder: BorrowedFd<'_>, present: &File) -> Result<(), FillerError> {
        if self.wait_for(holder)? == Woken::ToEnd {
            return Ok(());
        }
        if !self.stock.end(Ending::Closed) {
            return Ok(());
        }
        self.close(present).map_err(cannot("close a layer"))?;
        Err(FillerError::HolderDied)
    }

    /// Nobody would keep readers waiting if this process died too: what is missing must not be there to be read. The
    /// kernel asks for leave to cut the file, which another thread must give; those that answer readers may have ended.
    fn close(&self, present: &File) -> io::Result<()> {
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let pause = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
                while !is_done.load(Ordering::SeqCst) {
                    match self.log.read(LAST_SLOT, &self.handles.group) {
                        Ok(Some((event, _open_until_settled))) => drop(self.settle(LAST_SLOT, &event)),
                        _ => drop(poll(&mut [PollFd::new(&self.handles.group, PollFlags::IN)], Some(&pause))),
                    }
                }
            });
            let empty = |file: &File| file.set_len(0).and_then(|()| file.sync_all());
            let emptied = empty(present).and_then(|()| empty(&self.handles.data));
            is_done.store(true, Ordering::SeqCst);
            emptied
        })
    }

    fn wait_for(&self, fd: BorrowedFd<'_>) -> Result<Woken, FillerError> {
        let mut fds = [PollFd::new(&fd, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) if !fds[0].revents().is_empty() => Ok(Woken::Ready),
            Ok(_) => Ok(Woken::ToEnd),
            Err(Errno::INTR) => self.wait_for(fd),
            Err(error) => Err(cannot("wait for readers")(error.into())),
        }
    }

    fn end_if_failed(&self, done: Result<(), FillerError>) {
        if let Err(error) = done {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            self.stock.end(Ending::Failed);
            self.wake();
        }
    }

    /// Ends the threads that answer and watch.
    fn wake(&self) {
        // It cannot overflow: there are few threads.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    Ready,
    ToEnd,
}
