//! The keeper's life while the workload runs: one loop around poll(2).

use super::clients::{Clients, Request};
use super::holder::Holder;
use super::outputs::Output;
use super::stdin::Input;
use crate::logs::LogWriter;
use crate::sandbox::Running;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
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
    pub(super) _ports: Vec<OwnedFd>,
}

/// How long to wait for whoever is the parent to reap a workload that is not our child.
const REAPING: Duration = Duration::from_secs(10);

impl Serving {
    /// Serves until the workload has ended and all its output is read. Returns its exit status, 128 + N after signal
    /// N; `None` when nobody can tell.
    pub(super) fn serve(&mut self, clients: &mut Clients, listener: Option<&OwnedFd>) -> Option<i32> {
        loop {
            if self.turn(clients, listener) {
                break;
            }
        }
        let code = self.collect_status();
        // All writers died with the workload's first process, which takes its PID namespace with it.
        for output in &mut self.outputs {
            output.look_again();
            while output.take(&mut self.log, |stream, bytes| clients.output(stream, bytes)) {
                let patience = Instant::now() + Duration::from_secs(5);
                while !clients.keep_up() && Instant::now() < patience {
                    clients.talk();
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        clients.talk();
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
        let hear = if self.input.keeps_up() { PollFlags::IN } else { PollFlags::empty() };
        polled.extend(clients.sockets().map(|(fd, unsent)| {
            PollFd::from_borrowed_fd(fd, if unsent { hear | PollFlags::OUT } else { hear })
        }));
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
        for request in clients.talk() {
            match request {
                Request::Stdin(bytes) => self.input.push(&bytes),
                Request::StdinClosed => self.input.close(),
                Request::Resize { rows, cols } => self.input.resize(rows, cols),
            }
        }
        ended
    }

    /// The exit status: of our child, or as the kernel tells one who is not the parent, once that one has reaped it.
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
                    if let Some(status) = sys::exit_status_of(&self.pidfd) {
                        let signal = status & 0x7f;
                        return Some(if signal == 0 { (status >> 8) & 0xff } else { 128 + signal });
                    }
                    if Instant::now() > deadline {
                        return None;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}
