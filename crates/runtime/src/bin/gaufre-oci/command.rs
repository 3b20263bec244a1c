//! The verbs: their names, options and help, and how one is found.

use std::error::Error;
use std::io::Write;

use gaufre_runtime::spec::OCI_VERSION;

use crate::args::{Args, Known};
use crate::global::{self, Global};
use crate::report::Report;
use crate::{log, verbs};

/// A failure and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) error: Box<dyn Error>,
}

impl<E: Into<Box<dyn Error>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, error: error.into() }
    }
}

/// The exit code, or what went wrong.
pub(crate) type Outcome = Result<u8, Failure>;

/// One verb.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) operands: &'static str,
    pub(crate) about: &'static str,
    pub(crate) options: &'static [Known],
    /// After so many operands everything is one: a command to execute, options for ps(1).
    pub(crate) operand_count: usize,
    pub(crate) run: fn(&Global, &Args) -> Outcome,
}

/// runc's code for a verb that it does not know.
const UNKNOWN_VERB: u8 = 3;

/// Runs the command line.
pub(crate) fn run(words: &[String], report: &mut Report) -> Outcome {
    let args = Args::read(words, global::OPTIONS, 1)?;
    if args.has("version") {
        return print(&version());
    }
    let global = Global::of(&args, report)?;
    log::install(report);
    let verb = match args.rest(0).first() {
        Some(verb) if !args.has("help") => verb,
        _ => return print(&help()),
    };
    let words = args.rest(1);
    if matches!(verb.as_str(), "help" | "h") {
        return match words.first() {
            Some(verb) => print(&help_on(find(verb)?)),
            None => print(&help()),
        };
    }
    let command = find(verb)?;
    if words.iter().take_while(|word| *word != "--" && word.starts_with('-')).any(|word| asks_for_help(word))
    {
        return print(&help_on(command));
    }
    report.debug(&format!("{verb} {}", words.join(" ")));
    (command.run)(&global, &Args::read(words, command.options, command.operand_count)?)
}

/// Writes to standard output; a reader that is gone is a failure, not a panic.
pub(crate) fn print(text: &str) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())?;
    Ok(0)
}

fn asks_for_help(word: &str) -> bool {
    matches!(word, "--help" | "-h")
}

fn find(verb: &str) -> Result<&'static Command, Failure> {
    let found = verbs::ALL.iter().find(|command| command.name == verb);
    found.ok_or_else(|| Failure { code: UNKNOWN_VERB, error: format!("unknown verb {verb}").into() })
}

/// runc's lines, of which podman shows the first and Docker reads `spec`.
fn version() -> String {
    format!("gaufre-oci version {}\nspec: {OCI_VERSION}\n", env!("CARGO_PKG_VERSION"))
}

fn help() -> String {
    let mut text = "The OCI runtime of gaufre: from a bundle to a container.\n\n\
        Usage: gaufre-oci [options] VERB [options] ...\n\nVerbs:\n"
        .to_owned();
    for command in verbs::ALL {
        text.push_str(&format!("  {:<11} {}\n", command.name, command.about));
    }
    text.push_str("\nOptions:\n");
    text.push_str(&options(global::OPTIONS));
    text
}

fn help_on(command: &Command) -> String {
    let Command { name, operands, about, .. } = command;
    let mut text = format!("{about}\n\nUsage: gaufre-oci [options] {name} [options] {operands}\n");
    if !command.options.is_empty() {
        text.push_str("\nOptions:\n");
        text.push_str(&options(command.options));
    }
    text
}

fn options(known: &[Known]) -> String {
    let line = |option: &Known| {
        let letter = if option.letter.is_empty() { String::new() } else { format!("-{}, ", option.letter) };
        let name = format!("{letter}--{} {}", option.name, option.value);
        format!("  {name:<36} {}\n", option.help)
    };
    known.iter().map(line).collect()
}
