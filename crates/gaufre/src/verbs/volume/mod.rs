//! `gaufre volume`: directories of the store that outlive containers.

mod create;
mod filter;
mod inspect;
mod ls;
mod prune;
mod rm;

use gaufre_engine::Volume;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::failure::Result;

/// Make, list and remove volumes
#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(crate) enum Verb {
    Create(create::Args),
    #[command(alias = "list")]
    Ls(ls::Args),
    Inspect(inspect::Args),
    #[command(alias = "remove")]
    Rm(rm::Args),
    Prune(prune::Args),
}

pub(crate) fn execute(verb: &Verb, global: &Global) -> Result<u8> {
    match verb {
        Verb::Create(args) => create::execute(args, global),
        Verb::Ls(args) => ls::execute(args, global),
        Verb::Inspect(args) => inspect::execute(args, global),
        Verb::Rm(args) => rm::execute(args, global),
        Verb::Prune(args) => prune::execute(args, global),
    }
}

/// A volume in podman's words.
fn fields(volume: &Volume) -> Value {
    json!({
        "Name": volume.name,
        "Driver": "local",
        "Mountpoint": volume.path,
        "CreatedAt": volume.created_at.to_string(),
        "Labels": volume.labels,
        "Scope": "local",
        "Options": {},
        "Anonymous": volume.anonymous,
        "MountCount": volume.sandboxes.len(),
        "Containers": volume.sandboxes,
    })
}
