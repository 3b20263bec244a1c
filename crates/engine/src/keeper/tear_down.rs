//! After a run: everything that it used is given back, and how it ended is written down.
//!
//! Each step goes on past the failure of the one before; what could not be given back is found by `system check`.

use super::holder;
use super::serve::Serving;
use crate::dirs::Dirs;
use crate::sandbox::{Catalog, Exit, Phase, Run, Sandbox};
use crate::settings::NetworkMode;
use gaufre_net::Net;
use gaufre_runtime::cgroup::{Cgroup, CgroupError};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// After the workload's end.
pub(super) fn after_run(
    dirs: &Dirs,
    sandbox: &Sandbox,
    serving: Serving,
    code: Option<i32>,
    restarts: u32,
) -> Exit {
    note("the state", sandbox.set_phase(Phase::Finishing));
    let Serving { running, holder, .. } = serving;
    let oom_killed = running.cgroup.stats().oom_kills.is_some_and(|kills| kills > 0);
    note("the cgroup", remove_cgroup(&running.cgroup));
    match (holder, &running.holder) {
        (Some(holder), _) => holder.end(),
        (None, Some(reference)) => holder::end_foreign(reference),
        (None, None) => {}
    }
    if running.attachment.is_some() {
        detach(dirs, sandbox);
    }
    let exit = Exit { code, finished_at: Timestamp::now(), oom_killed, error: None };
    record(sandbox, exit.clone(), restarts);
    exit
}

/// After a start that came to nothing.
pub(super) fn after_failed_start(
    dirs: &Dirs,
    sandbox: &Sandbox,
    code: u8,
    error: &dyn std::error::Error,
    restarts: u32,
) -> Exit {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    take_all_down(dirs, sandbox);
    let exit = Exit {
        code: Some(i32::from(code)),
        finished_at: Timestamp::now(),
        oom_killed: false,
        error: Some(words),
    };
    record(sandbox, exit.clone(), restarts);
    exit
}

/// After the death of a keeper of whose workload nothing is left.
pub(super) fn after_nothing(dirs: &Dirs, sandbox: &Sandbox, restarts: u32) -> Exit {
    take_all_down(dirs, sandbox);
    let exit = Exit {
        code: None,
        finished_at: Timestamp::now(),
        oom_killed: false,
        error: Some("its keeper was killed, and nobody saw how the workload ended".to_owned()),
    };
    record(sandbox, exit.clone(), restarts);
    exit
}

/// After the last run: nothing remains below the run directory and, if it was so created, of the sandbox at all.
pub(super) fn at_the_end(dirs: &Dirs, sandbox: &Sandbox) {
    if sandbox.definition.settings.remove_on_exit {
        crate::rm::remove_anonymous_volumes(dirs, sandbox);
        note("the sandbox", Catalog::new(dirs).unregister(sandbox));
    } else {
        note("the run directory", fs::remove_dir_all(sandbox.run_directory()));
    }
}

/// Gives back whatever a sandbox of this ID could have, whether or not it got that far.
fn take_all_down(dirs: &Dirs, sandbox: &Sandbox) {
    note(
        "the cgroup",
        Cgroup::at(Path::new(&format!("/gaufre/{}", sandbox.id()))).and_then(|cgroup| remove_cgroup(&cgroup)),
    );
    if let Ok(Some(state)) = sandbox.run_state()
        && let Phase::Running(running) = state.phase
        && let Some(holder) = &running.holder
    {
        holder::end_foreign(holder);
    }
    detach(dirs, sandbox);
}

fn remove_cgroup(cgroup: &Cgroup) -> Result<(), CgroupError> {
    cgroup.kill_all()?;
    cgroup.delete()
}

fn detach(dirs: &Dirs, sandbox: &Sandbox) {
    match Net::open(&dirs.run) {
        Ok(net) => note("the network", net.release(sandbox.id().as_str())),
        Err(error) => note("the network", Err(error)),
    }
}

/// Removes the bridge and its rules if this was their last user; nobody waits for this.
///
/// The kernel takes tens of milliseconds to let an interface go, and holds up whoever wants another meanwhile. So that
/// runs in quick succession do not wait for each other's tidying, it is left a moment: by then there may be another
/// user, and veth pairs have gone with their network namespaces. One keeper tidies for all that end in that moment.
pub(super) fn sweep_network(dirs: &Dirs, sandbox: &Sandbox) {
    if sandbox.definition.settings.network != NetworkMode::Bridge {
        return;
    }
    let Ok(net) = Net::open(&dirs.run) else { return };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let Ok(lock) = open(dirs.lock("sweep.lock"), flags, Mode::RUSR | Mode::WUSR) else { return };
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return;
    }
    std::thread::sleep(SWEEP_AFTER);
    note("the bridge", net.sweep());
    let _ = flock(&lock, FlockOperation::Unlock);
    // One that ended during the sweep left it to us. Costs next to nothing when there is nothing to do.
    if net.list().is_ok_and(|users| users.is_empty()) {
        note("the bridge", net.sweep());
    }
}

/// How long the bridge stays after its last user.
const SWEEP_AFTER: Duration = Duration::from_millis(1000);

fn record(sandbox: &Sandbox, exit: Exit, restarts: u32) {
    let started_at = match sandbox.run() {
        Ok(Some(run)) => run.started_at,
        _ => exit.finished_at,
    };
    note("the exit status", sandbox.set_run(&Run { started_at, restarts, exit: Some(exit) }));
}

fn note<E: std::error::Error + 'static>(what: &str, result: Result<(), E>) {
    if let Err(error) = result {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "{what} of a sandbox could not be taken down or written"
        );
    }
}
