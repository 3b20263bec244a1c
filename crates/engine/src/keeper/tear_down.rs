//! After a run: everything that it used is given back, and how it ended is written down.
//!
//! Each step goes on past the failure of the one before; what could not be given back is found by `system check`.

use super::holder;
use super::serve::Serving;
use crate::bundle::cgroup_path;
use crate::dirs::Dirs;
use crate::sandbox::{Catalog, Exit, Phase, Retired, Run, Sandbox};
use gaufre_net::Net;
use gaufre_runtime::cgroup::{Cgroup, CgroupError};
use gaufre_store::remove_tree;
use jiff::Timestamp;

/// After the workload's end.
pub(super) fn after_run(
    dirs: &Dirs,
    sandbox: &Sandbox,
    serving: Serving,
    code: Option<i32>,
    restarts: u32,
) -> Exit {
    let Serving { running, holder, .. } = serving;
    let oom_killed = running.cgroup.oom_kills().is_some_and(|kills| kills > 0);
    let exit = Exit { code, finished_at: Timestamp::now(), oom_killed, error: None };
    let finishing = Phase::Finishing { exit: exit.clone(), holder: running.holder.clone() };
    // Before anything else: what is seen once is not to be lost with the keeper.
    note("the state", sandbox.set_phase(finishing, restarts));
    note("the cgroup", remove_cgroup(&running.cgroup));
    if let Some(holder) = holder {
        holder.end();
    }
    if running.attachment.is_some() {
        detach(dirs, sandbox);
    }
    record(sandbox, exit.clone(), restarts);
    exit
}

/// After a run whose keeper saw its end and was killed before it had taken everything down.
pub(super) fn after_seen_end(dirs: &Dirs, sandbox: &Sandbox, exit: Exit, restarts: u32) -> Exit {
    take_all_down(dirs, sandbox);
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

/// After the death of a keeper of whose workload nothing is left: what became of it, in `words`, and no exit status.
pub(super) fn after_nothing(dirs: &Dirs, sandbox: &Sandbox, words: &str, restarts: u32) -> Exit {
    take_all_down(dirs, sandbox);
    let exit =
        Exit { code: None, finished_at: Timestamp::now(), oom_killed: false, error: Some(words.to_owned()) };
    record(sandbox, exit.clone(), restarts);
    exit
}

/// After the last run: nothing can be seen any more below the run directory and, if it was so created, of the sandbox
/// at all. What is returned are files that nobody needs to wait for.
pub(super) fn at_the_end(dirs: &Dirs, sandbox: &Sandbox) -> Option<Retired> {
    if sandbox.definition.settings.remove_on_exit {
        crate::rm::remove_anonymous_volumes(dirs, sandbox);
        note("the container", Catalog::new(dirs).retire(sandbox))
    } else {
        note("the run directory", remove_tree(sandbox.run_directory()));
        None
    }
}

/// The files of a sandbox that is gone.
pub(super) fn remove_files(retired: Retired) {
    note("the files", retired.remove());
}

/// Gives back whatever a sandbox of this ID could have, whether or not it got that far.
fn take_all_down(dirs: &Dirs, sandbox: &Sandbox) {
    note("the cgroup", Cgroup::at(&cgroup_path(sandbox.id())).and_then(|cgroup| remove_cgroup(&cgroup)));
    let holders = match sandbox.run_state().ok().flatten().map(|state| state.phase) {
        Some(Phase::Running(running)) => [running.holder, running.former_holder],
        Some(Phase::Finishing { holder, .. }) => [holder, None],
        _ => [None, None],
    };
    holders.iter().flatten().for_each(holder::end_foreign);
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
    };
}

fn record(sandbox: &Sandbox, exit: Exit, restarts: u32) {
    if sandbox.definition.settings.remove_on_exit {
        return; // Its records go next.
    }
    let started_at = match sandbox.run() {
        Ok(Some(run)) => run.started_at,
        _ => exit.finished_at,
    };
    note("the exit status", sandbox.set_run(&Run { started_at, restarts, exit: Some(exit) }));
}

fn note<T, E: std::error::Error + 'static>(what: &str, result: Result<T, E>) -> Option<T> {
    result
        .inspect_err(|error| {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "{what} of a container could not be taken down or written"
            );
        })
        .ok()
}
