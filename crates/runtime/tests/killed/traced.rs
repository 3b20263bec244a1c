//! A command that is killed at one of its system calls, or when one of its children comes to one of its own: ptrace(2).

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::{c_int, c_long, pid_t};

/// A process of a command: the command itself, or the n-th that came after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Caller,
    Child(usize),
}

/// When somebody is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) killed: Who,
    /// As this one enters...
    pub(crate) watched: Who,
    /// ...its system call of this number, the first one being 1. The call is not made.
    pub(crate) call: usize,
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Which system call it was that was not made; None where that moment never came.
    pub(crate) at: Option<u64>,
    pub(crate) succeeded: bool,
}

const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC;

/// Runs the command until it has ended. Its children go on, those that are left.
pub(crate) fn killed_at(command: Command, moment: Moment) -> Ended {
    let (mut said, mut says) = std::io::pipe().unwrap();
    let (mut waits, mut go) = std::io::pipe().unwrap();
    let mut command = command;
    let introduce = move || {
        says.write_all(&std::process::id().to_ne_bytes())?;
        // Until it is traced.
        waits.read_exact(&mut [0])
    };
    // SAFETY: between fork and execution the closure makes system calls only.
    unsafe { command.pre_exec(introduce) };
    // Who traces is a thread. All that it has stopped goes on, untraced, when it ends.
    std::thread::scope(|scope| {
        let spawned = scope.spawn(move || command.spawn().unwrap());
        let trace = scope.spawn(move || {
            let mut pid = [0; 4];
            said.read_exact(&mut pid).unwrap();
            let trace = Trace::begin(pid_t::from_ne_bytes(pid), moment);
            go.write_all(&[0]).unwrap();
            trace.follow()
        });
        // Waiting for it has been the other's part.
        drop(spawned.join().unwrap());
        trace.join().unwrap()
    })
}

struct Trace {
    moment: Moment,
    caller: pid_t,
    /// In the order in which they came, each with the number of its system calls.
    children: Vec<pid_t>,
    calls: HashMap<pid_t, usize>,
    at: Option<u64>,
}

impl Trace {
    /// Seized, rather than attached to, no child of it begins with a stop that would outlive the trace. It stops when it is
    /// executed, which is where the system calls begin.
    fn begin(caller: pid_t, moment: Moment) -> Self {
        ptrace(libc::PTRACE_SEIZE, caller, c_long::from(OPTIONS)).unwrap();
        Self { moment, caller, children: Vec::new(), calls: HashMap::new(), at: None }
    }

    fn follow(mut self) -> Ended {
        loop {
            let (pid, status) = wait(-1);
            if !libc::WIFSTOPPED(status) {
                if pid == self.caller {
                    let succeeded = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
                    return Ended { at: self.at, succeeded };
                }
                continue;
            }
            let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
            if pid != self.caller && !self.children.contains(&pid) {
                self.children.push(pid);
            }
            let may_count = signal == libc::SIGTRAP | 0x80 && self.at.is_none();
            if let Some(number) = may_count.then(|| entered(pid)).flatten() {
                self.count(pid, number);
            }
            // And not a system call or an event.
            let is_signal = signal & 0x80 == 0 && event == 0;
            let how = if self.at.is_some() { libc::PTRACE_CONT } else { libc::PTRACE_SYSCALL };
            // The caller's children stay where they are until it is dead.
            if self.at.is_none() || self.moment.killed != Who::Caller {
                // It may be the one that is dead.
                let _ = ptrace(how, pid, if is_signal { c_long::from(signal) } else { 0 });
            }
        }
    }

    fn count(&mut self, pid: pid_t, number: u64) {
        let calls = self.calls.entry(pid).or_default();
        *calls += 1;
        if self.pid(self.moment.watched) == Some(pid) && self.calls[&pid] == self.moment.call {
            let killed = self.pid(self.moment.killed).unwrap();
            // SAFETY: takes numbers only; the process is a child that was not waited for, or a traced one.
            assert_eq!(unsafe { libc::kill(killed, libc::SIGKILL) }, 0);
            self.at = Some(number);
        }
    }

    fn pid(&self, who: Who) -> Option<pid_t> {
        match who {
            Who::Caller => Some(self.caller),
            Who::Child(index) => self.children.get(index).copied(),
        }
    }
}

/// The number of the system call that a process is about to make; None where it returns from one.
fn entered(pid: pid_t) -> Option<u64> {
    // SAFETY: plain numbers, for which zero is a value.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of_val(&info);
    // SAFETY: the kernel writes at most `size` bytes to `info`.
    let got = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, &raw mut info) };
    // It may be dead by now.
    let is_entry = got > 0 && info.op == libc::PTRACE_SYSCALL_INFO_ENTRY;
    // SAFETY: the kernel has filled it, whatever the kind is.
    let number = unsafe { info.u.entry.nr };
    is_entry.then_some(number)
}

fn ptrace(request: libc::c_uint, pid: pid_t, data: c_long) -> std::io::Result<c_long> {
    // SAFETY: the requests that are made here take numbers only.
    let result = unsafe { libc::ptrace(request, pid, 0, data) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}

/// The next change of a process that this very thread traces.
fn wait(pid: pid_t) -> (pid_t, c_int) {
    loop {
        let mut status = 0;
        // SAFETY: the kernel writes one number.
        let changed = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        match (changed, std::io::Error::last_os_error().kind()) {
            (1.., _) => return (changed, status),
            (_, std::io::ErrorKind::Interrupted) => {}
            (_, error) => panic!("waitpid: {error}"),
        }
    }
}
