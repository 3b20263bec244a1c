//! The process to execute: a file's, or the container's own with what the options change.

use std::path::Path;

use gaufre_runtime::spec::{parse_process, read_bounded};
use oci_spec::runtime::{Capability, LinuxCapabilities, Process, Spec};

use crate::args::Args;
use crate::command::Failure;

/// Reads `--process`, or changes the process of the configuration by the other options.
pub(crate) fn of(spec: &Spec, args: &Args) -> Result<Process, Failure> {
    if let Some(path) = args.value("process") {
        args.no_more(1)?;
        let text = read_bounded(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
        let mut process = parse_process(&text).map_err(|error| format!("{path}: {error}"))?;
        if args.has("tty") {
            process.set_terminal(Some(true));
        }
        return Ok(process);
    }
    let mut process = spec.process().clone().ok_or("the configuration has no process")?;
    args.operand(1, "the command")?;
    process.set_args(Some(args.rest(1).to_vec()));
    process.set_terminal(Some(args.has("tty")));
    if let Some(cwd) = args.value("cwd") {
        process.set_cwd(cwd.into());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend_from_slice(args.all("env"));
    process.set_env(Some(env));
    if args.value("no-new-privs").is_some() {
        process.set_no_new_privileges(Some(args.has("no-new-privs")));
    }
    if let Some(label) = args.value("process-label") {
        process.set_selinux_label(Some(label.to_owned()));
    }
    if let Some(profile) = args.value("apparmor") {
        process.set_apparmor_profile(Some(profile.to_owned()));
    }
    change_user(&mut process, args)?;
    add_capabilities(&mut process, args.all("cap"))?;
    Ok(process)
}

/// As runc: a user without a group keeps the configuration's group.
fn change_user(process: &mut Process, args: &Args) -> Result<(), Failure> {
    let id = |text: &str, what: &str| text.parse::<u32>().map_err(|_| format!("{what}: {text} is not an id"));
    if let Some(user) = args.value("user") {
        let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
        process.user_mut().set_uid(id(uid, "--user")?);
        if let Some(gid) = gid {
            process.user_mut().set_gid(id(gid, "--user")?);
        }
    }
    if !args.all("additional-gids").is_empty() {
        let mut gids = process.user().additional_gids().clone().unwrap_or_default();
        for gid in args.all("additional-gids") {
            gids.push(id(gid, "--additional-gids")?);
        }
        process.user_mut().set_additional_gids(Some(gids));
    }
    Ok(())
}

/// As runc: in the sets that count for a process of root and, ambient and inheritable, of another user.
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let mut sets: LinuxCapabilities = process.capabilities().clone().unwrap_or_default();
    for name in names {
        let capability: Capability = serde_json::from_value(name.to_ascii_uppercase().into())
            .map_err(|_| format!("--cap: {name} is not a capability"))?;
        let with = |set: &Option<std::collections::HashSet<Capability>>| {
            let mut set = set.clone().unwrap_or_default();
            set.insert(capability);
            Some(set)
        };
        let (bounding, effective, permitted) =
            (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
        let (inheritable, ambient) = (with(sets.inheritable()), with(sets.ambient()));
        sets.set_bounding(bounding);
        sets.set_effective(effective);
        sets.set_permitted(permitted);
        if process.user().uid() != 0 {
            sets.set_inheritable(inheritable);
            sets.set_ambient(ambient);
        }
    }
    process.set_capabilities(Some(sets));
    Ok(())
}
