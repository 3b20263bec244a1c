//! Going on where a killed keeper stopped.

use super::bring_up::listen_nonblocking;
use super::holder;
use super::outputs::{Output, open_fifo};
use super::serve::Serving;
use super::stdin::Input;
use crate::dirs::Dirs;
use crate::logs::{LogWriter, Stream};
use crate::process::open_pidfd;
use crate::sandbox::{Phase, Running, Sandbox};
use crate::settings::LogDriver;
use gaufre_net::Net;
use std::os::fd::OwnedFd;

type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Finds the workload of a dead keeper and serves it on. `None` when it had not been started, or nothing is left of
/// it by which its end could be waited for; then what it used is to be taken down.
pub(super) fn take_over(
    dirs: &Dirs,
    sandbox: &Sandbox,
    listener: &mut Option<OwnedFd>,
) -> Result<Option<Serving>, Refusal> {
    let Some(Phase::Running(running)) = sandbox.run_state()?.map(|state| state.phase) else {
        return Ok(None);
    };
    // Written just before the start, so it may never have come to that: only a workload that was executed has left
    // the runtime's gate.
    let held = running.holder.as_ref().and_then(holder::take_from);
    let (pidfd, master) = match held {
        Some((pidfd, master)) => (pidfd, master),
        None => match open_pidfd(running.pid, running.start_ticks) {
            Some(pidfd) => (pidfd, None),
            None => return Ok(None),
        },
    };
    if listener.is_none() {
        *listener = Some(listen_nonblocking(sandbox)?);
    }
    let (outputs, input) = ends(sandbox, master)?;
    let log = match sandbox.definition.settings.log.driver {
        LogDriver::None => None,
        LogDriver::K8sFile => Some(LogWriter::open(&sandbox.log_path(), &sandbox.definition.settings.log)?),
    };
    let ports = reserve_ports(dirs, &running);
    let running = *running;
    sandbox.set_phase(Phase::Running(Box::new(running.clone())))?;
    Ok(Some(Serving { running, pidfd, outputs, input, log, holder: None, _ports: ports }))
}

fn ends(sandbox: &Sandbox, master: Option<OwnedFd>) -> std::io::Result<(Vec<Output>, Input)> {
    if sandbox.definition.settings.terminal {
        return Ok(match master {
            Some(master) => {
                let input = master.try_clone()?;
                (vec![Output::terminal(master)?], Input::new(Some(input), true))
            }
            // Keeper and holder both killed: the terminal is gone, the workload may go on without.
            None => (Vec::new(), Input::new(None, true)),
        });
    }
    let fifo = |name, stream| Output::fifo(open_fifo(&sandbox.run_directory().join(name))?, stream);
    Ok((vec![fifo("stdout", Stream::Stdout)?, fifo("stderr", Stream::Stderr)?], Input::new(None, false)))
}

/// The published ports belong to whoever holds them bound. The holder still does, so a failure here changes nothing
/// while it lives.
fn reserve_ports(dirs: &Dirs, running: &Running) -> Vec<OwnedFd> {
    let Some(attachment) = &running.attachment else { return Vec::new() };
    let reserved = Net::open(&dirs.run).ok().and_then(|net| net.reserve_ports(attachment).ok());
    reserved.unwrap_or_default()
}
