//! list: all containers, as a table, as JSON or by name only.

use gaufre_runtime::state::{OciState, State, StateDir, StateError};

use crate::args::{Args, flag, value};
use crate::command::{Command, Failure, Outcome, print};
use crate::global::Global;

pub(crate) const LIST: Command = Command {
    name: "list",
    operands: "",
    about: "List the containers",
    options: &[
        value("format", "f", "table|json", "how they are printed (default table)"),
        flag("quiet", "q", "print their names only"),
    ],
    operand_count: usize::MAX,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    args.no_more(0)?;
    let dirs = StateDir::all(global.root())?;
    if args.has("quiet") {
        return print(&dirs.iter().map(|dir| format!("{}\n", dir.id())).collect::<String>());
    }
    let format = args.value("format").unwrap_or("table");
    if !matches!(format, "table" | "json") {
        return Err(format!("--format: {format} is neither table nor json").into());
    }
    let mut states = Vec::new();
    for dir in dirs {
        match dir.load() {
            Ok(state) => states.push((dir, state)),
            // It was deleted meanwhile, or is only just being made.
            Err(StateError::Unknown { .. }) => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map_or(String::new(), ToString::to_string);
                global.report.warning(&format!("{error}: {cause}"));
            }
        }
    }
    let rows = states.iter().filter_map(|(dir, state)| row(dir, state).transpose());
    let rows: Vec<OciState<'_>> = rows.collect::<Result<_, _>>()?;
    if format == "json" {
        return print(&format!("{}\n", serde_json::to_string(&rows)?));
    }
    print(&table(&rows))
}

fn row<'a>(dir: &StateDir, state: &'a State) -> Result<Option<OciState<'a>>, Failure> {
    match dir.owner_uid() {
        Ok(uid) => Ok(Some(state.to_oci(dir.status(state), user_name(uid)))),
        Err(StateError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The user's name of /etc/passwd, or `#` and the number, as runc has it.
fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(of_line).unwrap_or_else(|| format!("#{uid}"))
}

/// Columns as wide as their widest cell and at least twelve, as runc prints them.
fn table(rows: &[OciState<'_>]) -> String {
    let mut lines = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.id.to_owned(),
            row.pid.to_string(),
            row.status.to_string(),
            row.bundle.display().to_string(),
            row.created.unwrap_or_default().to_owned(),
            row.owner.clone().unwrap_or_default(),
        ]
    }));
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count() + 3).max().unwrap_or(0).max(12)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |cells: &[String; 6]| {
        let [head @ .., last] = cells;
        let head = head.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}{last}\n", head.collect::<String>())
    };
    lines.iter().map(line).collect()
}
