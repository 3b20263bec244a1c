//! Going on where a killed keeper stopped.

use super::bring_up::listen_nonblocking;
use super::holder::{self, Taken};
use super::outputs::{Output, TRANSIT, open_fifo};
use super::serve::Serving;
use super::stdin::Input;
use crate::dirs::Dirs;
use crate::logs::{LogWriter, Stream};
use crate::process::open_pidfd;
use crate::sandbox::{Exit, Phase, Run, Running, Sandbox};
use crate::settings::LogDriver;
use gaufre_net::Net;
use jiff::Timestamp;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Why a workload cannot be taken over now.
pub(super) type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// What a dead keeper left.
#[derive(Debug)]
pub(super) enum Found {
    /// A workload, which is served on. It may have ended meanwhile.
    Workload(Box<Serving>),
    /// A run that ended so, and may not be taken down yet.
    Ended(Exit),
    /// A workload between two runs, of which the last ended so.
    BetweenRuns(Exit),
    /// Nothing by which the end of the workload could be learnt.
    Lost,
    /// A start that came to nothing.
    NotStarted,
}

/// How long a process that was about to execute the workload may take to find that its keeper has died.
const GATE: Duration = Duration::from_secs(2);

/// Finds what a dead keeper left, and goes on serving its workload if there is one.
pub(super) fn take_over(
    dirs: &Dirs,
    sandbox: &Sandbox,
    listener: &mut Option<OwnedFd>,
) -> Result<Found, Refusal> {
    let run = sandbox.run()?;
    let last_exit = run.as_ref().and_then(|run| run.exit.clone());
    let state = sandbox.run_state()?;
    let restarts = state.as_ref().map_or(0, |state| state.restarts);
    let mut running = match state.map(|state| state.phase) {
        Some(Phase::Running(running)) => *running,
        Some(Phase::Finishing { exit, .. }) => return Ok(Found::Ended(exit)),
        Some(Phase::Restarting) => return Ok(last_exit.map_or(Found::Lost, Found::BetweenRuns)),
        Some(Phase::Starting) => return Ok(Found::NotStarted),
        // Of another boot, in which a run may have begun.
        None => {
            return Ok(if last_exit.is_none() && run.is_some() { Found::Lost } else { Found::NotStarted });
        }
    };
    let held = running.holder.as_ref().and_then(holder::take_from);
    let held = match held {
        Some(held) => held,
        None => match open_pidfd(running.pid, running.start_ticks) {
            Some(pidfd) => Taken { pidfd, terminal: None, stdin: None, ports: reserve_ports(dirs, &running) },
            None => return Ok(Found::Lost),
        },
    };
    let Taken { pidfd, terminal, stdin, ports } = held;
    // The state was written just before the start, the run's record just after it.
    let begun = run.is_some() && last_exit.is_none();
    if !begun {
        match was_executed(running.pid) {
            Some(true) => {
                sandbox.set_run(&Run { started_at: Timestamp::now(), restarts, exit: None })?;
            }
            Some(false) => return Ok(Found::NotStarted),
            None => return Ok(Found::Lost),
        }
    }
    if listener.is_none() {
        *listener = Some(listen_nonblocking(sandbox)?);
    }
    let (outputs, input) = ends(sandbox, terminal, stdin)?;
    let log = match sandbox.definition.settings.log.driver {
        LogDriver::None => None,
        LogDriver::K8sFile => Some(LogWriter::open(&sandbox.log_path(), &sandbox.definition.settings.log)?),
    };
    // One that an earlier successor had no time to end.
    running.former_holder.iter().for_each(holder::end_foreign);
    running.former_holder = running.holder.clone();
    let input_ended = input.held().is_none();
    let mut serving = Serving { running, pidfd, outputs, input, log, holder: None, ports, input_ended };
    // The former holder, if it still lives, is not our child and cannot be talked to.
    serving.hold(sandbox, restarts)?;
    serving.running.former_holder.iter().for_each(holder::end_foreign);
    Ok(Found::Workload(Box::new(serving)))
}

/// Whether the process has become the workload. Until then it is a copy of the keeper, which ends by itself when it
/// finds that the keeper has died. `None` when it is gone before that could be seen.
fn was_executed(pid: i32) -> Option<bool> {
    let deadline = Instant::now() + GATE;
    loop {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
        if line.split(|byte| *byte == 0).nth(1) != Some(b"keeper") {
            return Some(true);
        }
        if Instant::now() > deadline {
            return Some(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ends(
    sandbox: &Sandbox,
    terminal: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
) -> std::io::Result<(Vec<Output>, Input)> {
    if sandbox.definition.settings.terminal {
        return Ok(match terminal {
            Some(master) => {
                let input = master.try_clone()?;
                let transit = open_fifo(&sandbox.run_directory().join(TRANSIT))?;
                (vec![Output::terminal(master, transit)?], Input::new(Some(input), true))
            }
            // Keeper and holder both killed: the terminal is gone, the workload may go on without.
            None => (Vec::new(), Input::new(None, true)),
        });
    }
    let fifo = |name, stream| Output::fifo(open_fifo(&sandbox.run_directory().join(name))?, stream);
    Ok((vec![fifo("stdout", Stream::Stdout)?, fifo("stderr", Stream::Stderr)?], Input::new(stdin, false)))
}

/// Published ports belong to whoever holds them bound. With keeper and holder dead somebody may have taken one
/// meanwhile, which costs us no more than its being ours alone.
fn reserve_ports(dirs: &Dirs, running: &Running) -> Vec<OwnedFd> {
    let Some(attachment) = &running.attachment else { return Vec::new() };
    let reserved = Net::open(&dirs.run).ok().and_then(|net| net.reserve_ports(attachment).ok());
    reserved.unwrap_or_default()
}
