//! `gaufre ps`.

mod filter;
mod ports;

use gaufre_engine::{SandboxState, SandboxSummary};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::args::fits_all;
use crate::cli::Global;
use crate::failure::Result;
use crate::output::{self, Format, Table, ago, duration, go_time, short_digest};
use filter::Filter;
use ports::PortRange;

/// List containers, the running ones unless told otherwise
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also list those that do not run
    #[arg(short, long)]
    all: bool,

    /// Print only IDs
    #[arg(short, long)]
    quiet: bool,

    /// List only the newest so many, running or not
    #[arg(short = 'n', long, value_name = "COUNT", allow_hyphen_values = true, default_value_t = -1, hide_default_value = true)]
    last: i64,

    /// List only the newest, running or not
    #[arg(short, long)]
    latest: bool,

    /// Do not shorten IDs and commands
    #[arg(long)]
    no_trunc: bool,

    /// Print no headings
    #[arg(long)]
    noheading: bool,

    /// List only what fits, such as status=exited, name=web or label=a=b
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,

    /// table, json, or a template such as '{{.ID}} {{.Names}}'
    #[arg(long)]
    format: Option<String>,
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let format = Format::parse(args.format.as_deref())?;
    let last = if args.latest { Some(1) } else { usize::try_from(args.last).ok() };
    let all = args.all || last.is_some() || args.filter.iter().any(Filter::wants_all);
    let mut sandboxes = global.engine()?.list(all)?;
    sandboxes.retain(|sandbox| fits_all(&args.filter, sandbox));
    sandboxes.truncate(last.unwrap_or(usize::MAX));
    let now = Timestamp::now();
    let id = |sandbox: &SandboxSummary| match args.no_trunc {
        true => sandbox.id.clone(),
        false => short_digest(&sandbox.id).to_owned(),
    };
    if args.quiet && args.format.is_none() {
        sandboxes.iter().try_for_each(|sandbox| output::line(id(sandbox)))?;
        return Ok(0);
    }
    let table = |sandboxes: &[SandboxSummary]| {
        let mut table =
            Table::new(["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
        for sandbox in sandboxes {
            table.row([
                id(sandbox),
                sandbox.image.clone(),
                command(sandbox, args.no_trunc),
                ago(sandbox.created_at, now),
                status(sandbox, now),
                ports(sandbox),
                sandbox.name.clone(),
            ]);
        }
        table
    };
    format.print(
        &sandboxes,
        |sandbox| podman_json(sandbox, now),
        |sandbox| fields(sandbox, &id(sandbox), args.no_trunc, now),
        table,
        !args.noheading,
    )?;
    Ok(0)
}

/// The command as podman's table shows it: in one line and not for ever.
fn command(sandbox: &SandboxSummary, whole: bool) -> String {
    const LONGEST: usize = 20;
    let text: String =
        sandbox.command.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) if !whole => format!("{}...", text.get(..end.saturating_sub(3)).unwrap_or_default()),
        _ => text,
    }
}

/// `Up 3 seconds`, `Exited (0) 5 minutes ago`.
fn status(sandbox: &SandboxSummary, now: Timestamp) -> String {
    match sandbox.state {
        SandboxState::Created => "Created".to_owned(),
        SandboxState::Running => match sandbox.started_at {
            Some(started) => format!("Up {}", duration(started, now)),
            None => "Up".to_owned(),
        },
        SandboxState::Exited => match &sandbox.exit {
            Some(exit) => {
                let code = exit.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
                format!("Exited ({code}) {}", ago(exit.finished_at, now))
            }
            None => "Exited".to_owned(),
        },
        other => capitalised(other.name()),
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

fn ports(sandbox: &SandboxSummary) -> String {
    let ports: Vec<String> = PortRange::of(&sandbox.ports).iter().map(ToString::to_string).collect();
    ports.join(", ")
}

/// What `--format` can name, in podman's words.
fn fields(sandbox: &SandboxSummary, id: &str, whole: bool, now: Timestamp) -> Value {
    let mut fields = podman_json(sandbox, now);
    let labels: Vec<String> = sandbox.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if let Value::Object(fields) = &mut fields {
        let shown = [
            ("ID", id.to_owned()),
            ("Command", command(sandbox, whole)),
            ("CreatedAt", go_time(sandbox.created_at)),
            ("Created", go_time(sandbox.created_at)),
            ("CreatedHuman", ago(sandbox.created_at, now)),
            ("RunningFor", ago(sandbox.created_at, now)),
            ("Names", sandbox.name.clone()),
            ("Ports", ports(sandbox)),
            ("Labels", labels.join(",")),
            ("Mounts", sandbox.mounts.join(",")),
            ("Networks", sandbox.network.clone()),
        ];
        fields.extend(shown.map(|(name, text)| (name.to_owned(), Value::String(text))));
    }
    fields
}

/// What podman's JSON says of a container.
fn podman_json(sandbox: &SandboxSummary, now: Timestamp) -> Value {
    // Go's zero time, which stands for never.
    const NEVER: i64 = -62_135_596_800;
    let seconds = |time: Option<Timestamp>| time.map_or(NEVER, Timestamp::as_second);
    let ports: Vec<Value> = PortRange::of(&sandbox.ports).iter().map(PortRange::podman_json).collect();
    json!({
        "AutoRemove": sandbox.remove_on_exit,
        "Command": sandbox.command,
        "CreatedAt": ago(sandbox.created_at, now),
        "Exited": sandbox.state == SandboxState::Exited,
        "ExitedAt": seconds(sandbox.exit.as_ref().map(|exit| exit.finished_at)),
        "ExitCode": sandbox.exit.as_ref().map_or(0, |exit| exit.code.unwrap_or(-1)),
        "Id": sandbox.id,
        "Image": sandbox.image,
        "ImageID": sandbox.image_id,
        "IsInfra": false,
        "Labels": if sandbox.labels.is_empty() { Value::Null } else { json!(sandbox.labels) },
        "Mounts": sandbox.mounts,
        "Names": [&sandbox.name],
        "Namespaces": {},
        "Networks": [&sandbox.network],
        "Pid": sandbox.pid.unwrap_or(0),
        "Pod": "",
        "PodName": "",
        "Ports": if ports.is_empty() { Value::Null } else { Value::Array(ports) },
        "Restarts": sandbox.restarts,
        "Size": Value::Null,
        "StartedAt": seconds(sandbox.started_at),
        "State": sandbox.state.name(),
        "Status": status(sandbox, now),
        "Created": sandbox.created_at.as_second(),
    })
}
