//! Runs other programs and turns their failure into an error that names them and shows what they said last.

use anyhow::{Context, Result, bail};
use std::process::{Command, Output, Stdio};

/// How much of a failed program's output is worth showing, in lines.
const TAIL_LINES: usize = 40;

/// Runs `command` to its end with its output hidden; on failure the end of that output is part of the error.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs `command` to its end and returns what it wrote to standard output.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(command)?.stdout).into_owned())
}

fn output(command: &mut Command) -> Result<Output> {
    let name = name_of(command);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{name} could not be started"))?;
    if !output.status.success() {
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        bail!("{name} failed ({}); it said last:\n{}", output.status, tail(&said));
    }
    Ok(output)
}

/// The program and its first few arguments, as a person would name it.
pub(crate) fn name_of(command: &Command) -> String {
    let mut name = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(4) {
        let argument = argument.to_string_lossy();
        if argument.len() < 60 && !argument.contains('\n') {
            name.push(' ');
            name.push_str(&argument);
        }
    }
    name
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_is_named_and_its_last_words_are_kept() {
        let error =
            quiet(Command::new("sh").args(["-c", "echo first; echo no such thing >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("sh -c") && text.contains("no such thing"), "{text}");
    }
}
