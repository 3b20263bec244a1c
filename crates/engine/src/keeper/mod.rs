//! The keeper: the small process that stays with a sandbox from its start to its end.
//!
//! It makes the sandbox, writes its log, serves those who attach, collects the exit status, applies the restart policy
//! and takes everything down. It is the hidden verb `keeper` of the same binary. Killing it harms nobody: the workload
//! writes into FIFOs that the workload itself and a second process, the [`holder`], keep open, and the next command
//! finds the keeper's lock free and starts another keeper, which takes over by pidfd.

mod assignment;
mod bring_up;
mod clients;
mod holder;
mod log;
mod outputs;
mod report;
mod restart;
mod serve;
mod spawn;
mod stdin;
mod sweep;
mod take_over;
mod tear_down;

pub(crate) use assignment::WaitingKeeper;
pub use report::KeeperFailure;
pub use spawn::SpawnError;
pub(crate) use spawn::{spawn, take_over as spawn_successor};
pub(crate) use sweep::{remove_cgroup_parents, sweep_abandoned};

use crate::bundle::compile_usual_seccomp;
use crate::dirs::Dirs;
use crate::failure::Failure;
use crate::sandbox::{Catalog, Exit, KeeperLock, Sandbox, SandboxId};
use crate::sys;
use assignment::{Assignment, Task};
use clients::Clients;
use report::Report;
use restart::Restarts;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use take_over::{Found, Refusal};

/// What a keeper is started with.
#[derive(Debug)]
struct Arguments {
    dirs: Dirs,
    id: SandboxId,
    /// Where it hears what to do. Inherited; its number is on the command line.
    line: OwnedFd,
    /// Whether it makes a network namespace while it waits.
    makes_netns: bool,
}

/// The hidden verb `keeper`: `gaufre keeper ROOT RUN ID LINE-FD [netns]`.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let Some(arguments) = Arguments::parse(arguments) else {
        eprintln!("gaufre keeper is started by gaufre itself");
        return ExitCode::from(125);
    };
    let Arguments { dirs, id, line, makes_netns } = arguments;
    // Or else it has the number of a descriptor for a name, by which it was executed.
    let _ = rustix::thread::set_name(c"gaufre-keeper");
    // Of its own session: no terminal's hang-up or interrupt reaches it. Fails only for one that leads a group
    // already, which then has no terminal of the user either.
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    // Standard error is the sandbox's keeper.log.
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::WARN)
        .with_writer(log::keeper_log())
        .with_ansi(false)
        .with_target(false)
        // Where the log cannot be written, on a full disk, saying so there as well would be a panic.
        .log_internal_errors(false)
        .try_init();
    rustix::process::umask(rustix::fs::Mode::WGRP | rustix::fs::Mode::WOTH);

    if makes_netns {
        compile_usual_seccomp();
    }
    let netns = match makes_netns.then(gaufre_net::new_netns) {
        Some(Ok(netns)) => Some(netns),
        // There was no way back out of it: whoever started us starts another.
        Some(Err(gaufre_net::NetnsError::Enter(_))) => return ExitCode::from(125),
        // It is tried again when it is needed.
        Some(Err(_)) | None => None,
    };
    // Whoever started us has ended, or has found that there is nothing to keep.
    let Ok(Some(assignment)) = assignment::receive(&line) else { return ExitCode::SUCCESS };
    drop(line);
    let Assignment { task, report, lock, log, client } = assignment;
    let _ = rustix::stdio::dup2_stderr(&log);
    drop(log);
    let mut report = Report::new(report);
    let sandbox = match Catalog::new(&dirs).load(&id) {
        Ok(Some(sandbox)) => sandbox,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            report.failed(&error, 125, None);
            return ExitCode::from(125);
        }
    };
    let keeper = Keeper {
        dirs: &dirs,
        sandbox: &sandbox,
        restarts: Restarts::new(&sandbox),
        clients: Clients::new(client),
        listener: None,
        netns,
        report,
    };
    keeper.keep(task, lock)
}

/// What a keeper works with through all runs of its sandbox.
struct Keeper<'a> {
    dirs: &'a Dirs,
    sandbox: &'a Sandbox,
    restarts: Restarts,
    clients: Clients,
    /// Where further clients are let in.
    listener: Option<OwnedFd>,
    /// A network namespace that was made beforehand, for the first run.
    netns: Option<OwnedFd>,
    report: Report,
}

/// What became of a run.
struct Outcome {
    exit: Exit,
    /// Whether the workload was executed, as far as anybody knows.
    ran: bool,
    /// Why it was not, with the exit code that stands for it and what the user can do.
    failure: Option<(Refusal, u8, Option<String>)>,
}

impl Outcome {
    fn ran(exit: Exit) -> Self {
        Self { exit, ran: true, failure: None }
    }
}

impl Keeper<'_> {
    /// Runs the sandbox to its end, through as many runs as its restart policy wants.
    fn keep(mut self, task: Task, lock: KeeperLock) -> ExitCode {
        let mut next = task;
        loop {
            let outcome = match next {
                Task::Start => self.start(),
                Task::TakeOver => match self.resume() {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        // The workload may well run: it is left to the next who tries.
                        self.report.failed(error.as_ref(), 125, None);
                        return ExitCode::from(125);
                    }
                },
            };
            let Outcome { exit, ran, failure } = outcome;
            if self.restarts.wanted(self.sandbox, &exit, ran) {
                self.report.started();
                if self.restarts.pause(self.sandbox, &mut self.clients, self.listener.as_ref()) {
                    holder::reap();
                    next = Task::Start;
                    continue;
                }
            }
            let retired = tear_down::at_the_end(self.dirs, self.sandbox);
            lock.release();
            // Whoever hears of it finds everything taken down, and may start it again at once.
            match failure {
                Some((error, code, hint)) => self.report.failed(error.as_ref(), code, hint),
                None => self.report.started(),
            }
            if let Some(listener) = &self.listener {
                self.clients.accept(listener.as_fd());
            }
            self.clients.tell_exit(exit.code);
            self.listener = None;
            if let Some(retired) = retired {
                tear_down::remove_files(retired);
            }
            sweep::sweep(self.dirs);
            self.clients.wait_for_slow();
            return ExitCode::SUCCESS;
        }
    }

    fn start(&mut self) -> Outcome {
        let Self { dirs, sandbox, restarts, clients, listener, netns, report } = self;
        let count = restarts.count();
        match bring_up::bring_up(dirs, sandbox, restarts, clients, (listener, netns.take())) {
            Ok(mut serving) => {
                report.started();
                let code = serving.serve(sandbox, clients, listener.as_ref(), count);
                Outcome::ran(tear_down::after_run(dirs, sandbox, serving, code, count))
            }
            Err(error) => {
                let (code, hint) = (error.exit_code(), error.hint());
                let exit = tear_down::after_failed_start(dirs, sandbox, code, &error, count);
                Outcome { exit, ran: false, failure: Some((error.into(), code, hint)) }
            }
        }
    }

    fn resume(&mut self) -> Result<Outcome, Refusal> {
        let Self { dirs, sandbox, restarts, clients, listener, report, .. } = self;
        let count = restarts.count();
        let nothing = |words: &str| tear_down::after_nothing(dirs, sandbox, words, count);
        Ok(match take_over::take_over(dirs, sandbox, listener)? {
            Found::Workload(mut serving) => {
                // Of one that has ended meanwhile nothing is said before its end is on record.
                if !serving.has_ended() {
                    report.started();
                }
                let code = serving.serve(sandbox, clients, listener.as_ref(), count);
                Outcome::ran(tear_down::after_run(dirs, sandbox, *serving, code, count))
            }
            Found::Ended(exit) => Outcome::ran(tear_down::after_seen_end(dirs, sandbox, exit, count)),
            Found::BetweenRuns(exit) => Outcome::ran(exit),
            Found::Lost => {
                Outcome::ran(nothing("its keeper was killed, and nobody saw how the workload ended"))
            }
            Found::NotStarted => {
                let exit = nothing("its keeper was killed before it had started the workload");
                Outcome { exit, ran: false, failure: None }
            }
        })
    }
}

impl Arguments {
    fn parse(arguments: Vec<OsString>) -> Option<Self> {
        let mut words = arguments.into_iter();
        let root = PathBuf::from(words.next()?);
        let run = PathBuf::from(words.next()?);
        let id = SandboxId::try_from(words.next()?.into_string().ok()?).ok()?;
        let line = words.next()?.to_str()?.parse().ok().and_then(sys::take_inherited)?;
        let makes_netns = words.next().is_some_and(|word| word == assignment::MAKE_NETNS);
        Some(Self { dirs: Dirs { root, run }, id, line, makes_netns })
    }
}
