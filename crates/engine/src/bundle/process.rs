//! The first process.

use super::security;
use super::user::ResolvedUser;
use crate::sandbox::Definition;
use crate::settings::Ulimit;
use oci_spec::OciSpecError;
use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder};

/// Where commands are looked for when the image says nothing.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn process(definition: &Definition, user: &ResolvedUser) -> Result<Process, OciSpecError> {
    let settings = &definition.settings;
    let mut args = definition.process.args.clone();
    if settings.init {
        args.splice(0..0, [super::mounts::INIT_PATH, crate::init::VERB, "--"].map(str::to_owned));
    }
    let mut process = ProcessBuilder::default()
        .terminal(settings.terminal)
        .user(user.to_spec()?)
        .args(args)
        .env(environment(
            &definition.process.env,
            settings.terminal,
            user,
            Some(&super::hostname_of(definition)),
        ))
        .cwd(definition.process.cwd.clone())
        .no_new_privileges(settings.security.no_new_privileges)
        .capabilities(security::capabilities(settings, user.uid, false)?)
        .build()?;
    if !settings.ulimits.is_empty() {
        process.set_rlimits(Some(settings.ulimits.iter().map(rlimit).collect::<Result<_, _>>()?));
    }
    process.set_oom_score_adj(settings.resources.oom_score_adj);
    Ok(process)
}

/// The environment: what was asked for, and those variables that every program expects.
pub(crate) fn environment(
    asked: &[String],
    terminal: bool,
    user: &ResolvedUser,
    hostname: Option<&str>,
) -> Vec<String> {
    let mut env: Vec<String> = Vec::with_capacity(asked.len() + 5);
    let mut set = |name: &str, value: &str| {
        if !asked.iter().any(|entry| entry.split_once('=').map_or(entry.as_str(), |(name, _)| name) == name) {
            env.push(format!("{name}={value}"));
        }
    };
    set("PATH", DEFAULT_PATH);
    set("container", "gaufre");
    set("HOME", &user.home);
    if terminal {
        set("TERM", "xterm");
    }
    if let Some(hostname) = hostname {
        set("HOSTNAME", hostname);
    }
    env.extend_from_slice(asked);
    env
}

fn rlimit(ulimit: &Ulimit) -> Result<PosixRlimit, OciSpecError> {
    let name = format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase());
    let typ = serde_json::from_value::<PosixRlimitType>(name.into())
        .map_err(|_| OciSpecError::Other(format!("there is no resource limit {:?}", ulimit.name)))?;
    PosixRlimitBuilder::default().typ(typ).soft(ulimit.soft).hard(ulimit.hard).build()
}
