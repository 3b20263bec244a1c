//! ps: the processes of a container, by id or as ps(1) shows them.

use std::process::Command as Program;

use gaufre_runtime::state::Status;

use crate::args::{Args, value};
use crate::command::{Command, Failure, Outcome, print};
use crate::global::Global;

pub(crate) const PS: Command = Command {
    name: "ps",
    operands: "ID [PS-OPTIONS...]",
    about: "List the processes of a container",
    options: &[value("format", "f", "table|json", "as ps(1) shows them, or their ids (default table)")],
    operand_count: 1,
    run,
};

fn run(global: &Global, args: &Args) -> Outcome {
    let state_dir = global.state_dir(args)?;
    let state = state_dir.load()?;
    let pids = if state_dir.status(&state) == Status::Stopped { Vec::new() } else { state.cgroup.procs()? };
    match args.value("format").unwrap_or("table") {
        "json" => print(&format!("{}\n", serde_json::to_string(&pids)?)),
        "table" => print(&table(&pids, args.rest(1))?),
        other => Err(format!("--format: {other} is neither table nor json").into()),
    }
}

/// Those lines of the host's ps(1) that have one of these ids in the column PID, as runc does it.
fn table(pids: &[i32], options: &[String]) -> Result<String, Failure> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() { &default } else { options };
    let output = Program::new("ps").args(options).output().map_err(|error| format!("ps: {error}"))?;
    if !output.status.success() {
        return Err(format!("ps: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or("ps: these options show no column PID")?;
    let is_ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse::<i32>().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines = std::iter::once(header).chain(lines.filter(is_ours));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}
