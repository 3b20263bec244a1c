//! The verbs, one file each.

mod create;
mod delete;
mod events;
mod exec;
mod exec_process;
mod features;
mod kill;
mod list;
mod pause;
mod ps;
mod refused;
mod run;
mod spec;
mod start;
mod state;
mod update;

use crate::command::Command;

/// All verbs, in the order of the help.
pub(crate) const ALL: &[Command] = &[
    create::CREATE,
    start::START,
    run::RUN,
    exec::EXEC,
    state::STATE,
    list::LIST,
    ps::PS,
    events::EVENTS,
    kill::KILL,
    pause::PAUSE,
    pause::RESUME,
    update::UPDATE,
    delete::DELETE,
    spec::SPEC,
    features::FEATURES,
    refused::CHECKPOINT,
    refused::RESTORE,
];
