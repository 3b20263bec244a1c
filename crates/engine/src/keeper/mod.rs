//! The keeper: the small process that stays with a sandbox from its start to its end.
//!
//! It makes the sandbox, writes its log, serves those who attach, collects the exit status, applies the restart policy
//! and takes everything down. It is the hidden verb `keeper` of the same binary. Killing it harms nobody: the workload
//! writes into FIFOs that the workload itself and a second process, the [`holder`], keep open, and the next command
//! finds the keeper's lock free and starts another keeper, which takes over by pidfd.

mod bring_up;
mod clients;
mod holder;
mod outputs;
mod report;
mod restart;
mod serve;
mod spawn;
mod stdin;
mod take_over;
mod tear_down;

pub use holder::main as holder_main;
pub use report::KeeperFailure;
pub use spawn::SpawnError;
pub(crate) use spawn::{spawn, take_over};

use crate::dirs::Dirs;
use crate::failure::Failure;
use crate::sandbox::{Catalog, Sandbox, SandboxId};
use crate::sys;
use report::Report;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

/// What a keeper is started with. The descriptors are inherited; their numbers are on the command line.
#[derive(Debug)]
struct Arguments {
    dirs: Dirs,
    id: SandboxId,
    task: Task,
    /// Where to say whether the start succeeded.
    report: OwnedFd,
    /// The keeper's lock, taken by whoever started us and ours from here on.
    _lock: OwnedFd,
    /// The line to the first client, there before the workload writes its first byte.
    client: Option<UnixStream>,
}

/// What a keeper is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Start,
    TakeOver,
}

/// The hidden verb `keeper`: `gaufre keeper ROOT RUN ID start|take-over REPORT-FD LOCK-FD [CLIENT-FD]`.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let Some(arguments) = Arguments::parse(arguments) else {
        eprintln!("gaufre keeper is started by gaufre itself");
        return ExitCode::from(125);
    };
    let Arguments { dirs, id, task, report, _lock, client } = arguments;
    // Of its own session: no terminal's hang-up or interrupt reaches it. Fails only for one that leads a group
    // already, which then has no terminal of the user either.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);

    let mut report = Report::new(report);
    let sandbox = match Catalog::new(&dirs).load(&id) {
        Ok(Some(sandbox)) => sandbox,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            report.failed(&error, 125, None);
            return ExitCode::from(125);
        }
    };
    keep(&dirs, &sandbox, task, &mut report, client)
}

/// Runs the sandbox to its end, through as many runs as its restart policy wants.
fn keep(
    dirs: &Dirs,
    sandbox: &Sandbox,
    task: Task,
    report: &mut Report,
    client: Option<UnixStream>,
) -> ExitCode {
    let mut restarts = restart::Restarts::new(sandbox);
    let mut clients = clients::Clients::new(client);
    let mut listener = None;
    let mut next = task;
    loop {
        let serving = match next {
            Task::Start => bring_up::bring_up(dirs, sandbox, &restarts, &mut clients, &mut listener)
                .map_err(|error| (error.exit_code(), error.hint(), error.into())),
            Task::TakeOver => {
                take_over::take_over(dirs, sandbox, &mut listener).map_err(|error| (125, None, error))
            }
        };
        let exit = match serving {
            Ok(Some(mut serving)) => {
                report.started();
                let code = serving.serve(&mut clients, listener.as_ref());
                tear_down::after_run(dirs, sandbox, serving, code, restarts.count())
            }
            // A sandbox to take over of which nothing is left.
            Ok(None) => tear_down::after_nothing(dirs, sandbox, restarts.count()),
            Err((code, hint, error)) => {
                let error: Box<dyn std::error::Error> = error;
                report.failed(error.as_ref(), code, hint);
                tear_down::after_failed_start(dirs, sandbox, code, error.as_ref(), restarts.count())
            }
        };
        report.started();
        if !restarts.again(sandbox, &exit, &mut clients, listener.as_ref()) {
            tear_down::at_the_end(dirs, sandbox);
            clients.tell_exit(exit.code);
            tear_down::sweep_network(dirs, sandbox);
            return ExitCode::SUCCESS;
        }
        holder::reap();
        next = Task::Start;
    }
}

impl Arguments {
    fn parse(arguments: Vec<OsString>) -> Option<Self> {
        let mut words = arguments.into_iter();
        let root = PathBuf::from(words.next()?);
        let run = PathBuf::from(words.next()?);
        let id = SandboxId::try_from(words.next()?.into_string().ok()?).ok()?;
        let task = match words.next()?.to_str()? {
            "start" => Task::Start,
            "take-over" => Task::TakeOver,
            _ => return None,
        };
        let mut inherited = || words.next()?.to_str()?.parse().ok().and_then(sys::take_inherited);
        let report = inherited()?;
        let lock = inherited()?;
        let client = inherited().map(UnixStream::from);
        Some(Self { dirs: Dirs { root, run }, id, task, report, _lock: lock, client })
    }
}
