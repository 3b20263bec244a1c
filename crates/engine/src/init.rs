//! `--init`: a first process that hands signals on and reaps what nobody else does.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use signal_hook::consts::signal::{SIGCHLD, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSTOP};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

/// The hidden verb. Podman has a verb `init`: nobody who types that may get this one.
pub const VERB: &str = "__init";

/// The hidden verb `__init`: `gaufre __init -- COMMAND...`, run as the first process of a sandbox.
#[must_use]
pub fn main(mut arguments: Vec<OsString>) -> ExitCode {
    if arguments.first().is_some_and(|word| word == "--") {
        arguments.remove(0);
    }
    let Some((command, arguments)) = arguments.split_first() else {
        eprintln!("gaufre {VERB} is started by gaufre itself");
        return ExitCode::from(125);
    };
    // Before the child exists, so that no signal is missed.
    let wanted = (1..=31).filter(|signal| ![SIGKILL, SIGSTOP, SIGSEGV, SIGILL, SIGFPE].contains(signal));
    let mut signals = match Signals::new(wanted) {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("init: cannot catch signals: {error}");
            return ExitCode::from(125);
        }
    };
    let child = match Command::new(command).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("init: cannot execute {}: {error}", command.display());
            return ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 });
        }
    };
    let Some(workload) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return ExitCode::from(125);
    };
    for signal in signals.forever() {
        if signal != SIGCHLD {
            if let Some(signal) = Signal::from_named_raw(signal) {
                let _ = kill_process(workload, signal);
            }
            continue;
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == workload {
                return ExitCode::from(exit_code(status));
            }
        }
    }
    ExitCode::from(125)
}

fn exit_code(status: WaitStatus) -> u8 {
    let status = std::process::ExitStatus::from_raw(status.as_raw());
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(125);
    u8::try_from(code).unwrap_or(125)
}
