//! The keeper's life while the workload runs: one loop around poll(2).

use super::clients::{Clients, Request};
use super::holder::{Held, Holder};
use super::outputs::Output;
use super::stdin::Input;
use crate::logs::LogWriter;
use crate::process::{start_ticks, unreaped_status};
use crate::sandbox::{Phase, Running, Sandbox};
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// A run that is being served.
#[derive(Debug)]
pub(super) struct Serving {
    /// What the state file says of it.
    pub(super) running: Running,
    pub(super) pidfd: OwnedFd,
    pub(super) outputs: Vec<Output>,
    pub(super) input: Input,
    pub(super) log: Option<LogWriter>,
    pub(super) holder: Option<Holder>,
    /// Bound sockets that keep the published ports ours.
    pub(super) ports: Vec<OwnedFd>,
    /// Whether the holder has been told that the workload's input has ended.
    pub(super) input_ended: bool,
}

/// A holder that lives no longer than this has not been killed by somebody but cannot live.
const SHORT_LIFE: Duration = Duration::from_millis(500);

/// How long to wait for what the kernel tells of a workload that is not our child.
const REAPING: Duration = Duration::from_secs(10);

/// So many chunks are read after the workload's end: twice what the kernel lets a FIFO hold (pipe(7)).
const MOST_LEFT_CHUNKS: usize = 64;

impl Serving {
    /// Serves until the workload has ended and all its output is read. Returns its exit status, 128 + N after signal
    /// N; `None` when nobody can tell.
    pub(super) fn serve(
        &mut self,
        sandbox: &Sandbox,
        clients: &mut Clients,
        listener: Option<&OwnedFd>,
        restarts: u32,
    ) -> Option<i32> {
        // What an earlier keeper left between a terminal and the log is there now, and polling would not tell.
        for output in &mut self.outputs {
            output.take(&mut self.log, |stream, bytes| clients.output(stream, bytes));
        }
        while !self.turn(clients, listener) {
            self.look_after_holder(sandbox, restarts);
        }
        let code = self.collect_status();
        // All writers died with the workload's first process, which takes its PID namespace with it. What is left is
        // little, so that it is taken in at once, even for clients that do not read: they hold nobody up.
        for output in &mut self.outputs {
            output.look_again();
            // More than a FIFO can hold was written after the end: by one who was handed its end and goes on for ever.
            for _ in 0..MOST_LEFT_CHUNKS {
                if !output.take(&mut self.log, |stream, bytes| clients.output(stream, bytes)) {
                    break;
                }
            }
        }
        clients.talk(true);
        code
    }

    /// Waits for something to happen and deals with it; `true` when the workload has ended.
    fn turn(&mut self, clients: &mut Clients, listener: Option<&OwnedFd>) -> bool {
        let mut polled = vec![PollFd::new(&self.pidfd, PollFlags::IN)];
        polled.extend(listener.map(|fd| PollFd::new(fd, PollFlags::IN)));
        if clients.keep_up() {
            polled.extend(
                self.outputs
                    .iter()
                    .filter_map(Output::as_fd)
                    .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            );
        }
        polled.extend(self.input.waiting().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
        let hear = self.input.keeps_up();
        polled.extend(clients.sockets(hear).map(|(fd, wanted)| PollFd::from_borrowed_fd(fd, wanted)));
        polled
            .extend(self.holder.iter().map(|holder| PollFd::from_borrowed_fd(holder.pidfd(), PollFlags::IN)));
        // A terminal that all had closed is looked at again now and then.
        let timeout = if self.outputs.iter().any(|output| output.as_fd().is_none()) {
            Some(Timespec { tv_sec: 0, tv_nsec: 100_000_000 })
        } else {
            None
        };
        if poll(&mut polled, timeout.as_ref()).is_err() {
            return false; // Interrupted: look again.
        }
        let ended = !polled[0].revents().is_empty();
        drop(polled);

        if let Some(listener) = listener {
            clients.accept(listener.as_fd());
        }
        for output in &mut self.outputs {
            output.look_again();
            if clients.keep_up() {
                output.take(&mut self.log, |stream, bytes| clients.output(stream, bytes));
            }
        }
        self.input.flush();
        for request in clients.talk(hear) {
            match request {
                Request::Stdin(bytes) => self.input.push(&bytes),
                Request::StdinClosed => self.input.close(),
                Request::Resize { rows, cols } => self.input.resize(rows, cols),
            }
        }
        ended
    }

    /// Whether the workload has ended already.
    pub(super) fn has_ended(&self) -> bool {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Starts a holder of all that has to stay open when the keeper dies, and puts it into the state file.
    pub(super) fn hold(&mut self, sandbox: &Sandbox, restarts: u32) -> io::Result<()> {
        let held = Held::of(self.pidfd.as_fd(), &self.outputs, &self.input, &self.ports);
        let holder = Holder::start(&held)?;
        self.rely_on(holder, sandbox, restarts)
    }

    /// Puts a holder into the state file.
    pub(super) fn rely_on(&mut self, mut holder: Holder, sandbox: &Sandbox, restarts: u32) -> io::Result<()> {
        self.running.holder = Some(holder.reference());
        // Known as running before it runs: a keeper that dies in between leaves something that can be found.
        sandbox
            .set_phase(Phase::Running(Box::new(self.running.clone())), restarts)
            .map_err(io::Error::other)?;
        holder.confirm();
        self.holder = Some(holder);
        Ok(())
    }

    /// Starts another holder when somebody killed ours, and tells ours when the workload's input has ended.
    fn look_after_holder(&mut self, sandbox: &Sandbox, restarts: u32) {
        if !self.input_ended && self.input.held().is_none() {
            self.input_ended = true;
            if let Some(holder) = &mut self.holder {
                holder.close_stdin();
            }
        }
        let ended = |holder: &mut Holder| {
            let mut polled = [PollFd::from_borrowed_fd(holder.pidfd(), PollFlags::IN)];
            poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
        };
        if let Some(holder) = self.holder.take_if(ended) {
            let age = holder.age();
            holder.bury();
            // One that cannot live is not started again and again.
            if age < SHORT_LIFE {
                tracing::warn!("the holder ended at once: the death of this keeper may cost output");
            } else if let Err(error) = self.hold(sandbox, restarts) {
                tracing::warn!(%error, "another holder could not be started");
            }
        }
    }

    /// The exit status: of our child, or as the kernel tells one who is not the parent, before that one has reaped it
    /// (which the machine's first process may take its time to do) and on newer kernels afterwards.
    fn collect_status(&self) -> Option<i32> {
        let deadline = Instant::now() + REAPING;
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    return status
                        .exit_status()
                        .or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => {
                    let Running { pid, start_ticks: started, .. } = self.running;
                    let reaped = start_ticks(pid) != Some(started);
                    let status = sys::exit_status_of(&self.pidfd).or_else(|| unreaped_status(pid, started));
                    if let Some(status) = status {
                        let signal = status & 0x7f;
                        return Some(if signal == 0 { (status >> 8) & 0xff } else { 128 + signal });
                    }
                    // Reaped, by a kernel that does not tell afterwards; or nobody of ours may know.
                    if reaped || Instant::now() > deadline {
                        return None;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}
