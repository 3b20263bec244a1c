//! What verbs print: tables as podman aligns them, JSON, and fields picked by a template.

mod diagnostics;
mod human;
mod plain;
mod table;
mod template;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::Value;

pub(crate) use diagnostics::Diagnostics;
pub(crate) use human::{ago, duration, go_time, short_digest, si_size};
pub(crate) use plain::in_one_line;
pub(crate) use table::Table;
pub(crate) use template::Template;

use crate::failure::Result;

/// Writes a line to standard output; to a terminal without what would work it, to a program as it is.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<()> {
    let mut out = io::stdout();
    match out.is_terminal() {
        true => Ok(writeln!(out, "{}", plain::in_lines(&text.to_string()))?),
        false => Ok(writeln!(out, "{text}")?),
    }
}

/// Writes a line to standard error; where that is gone there is nobody to tell.
pub(crate) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes `value` as indented JSON to standard output.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
    text.push('\n');
    Ok(io::stdout().write_all(plain::json(&text).as_bytes())?)
}

/// Whether standard error is a terminal, so that bars can be drawn there.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// How a list is to be printed.
#[derive(Debug)]
pub(crate) enum Format {
    /// The verb's own table.
    Table,
    /// JSON.
    Json,
    /// A line for each entry.
    Lines(Template),
    /// A table of chosen fields.
    Columns(Template),
}

impl Format {
    /// Reads `--format`: `json`, `table`, `table TEMPLATE` or a template.
    ///
    /// # Errors
    /// A template that asks for more than fields.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self> {
        Ok(match text.map(str::trim) {
            None | Some("" | "table") => Self::Table,
            // The whole list at once reads the same both ways.
            Some("json" | "{{json .}}" | "{{ json . }}") => Self::Json,
            Some(text) => match text.strip_prefix("table ") {
                Some(columns) => Self::Columns(columns.parse()?),
                None => Self::Lines(text.parse()?),
            },
        })
    }

    /// Prints `entries`: as what `json` makes of each, as what a template picks from its `fields`, or in the verb's own
    /// `table`.
    ///
    /// # Errors
    /// A field that does not exist, or standard output that cannot be written.
    pub(crate) fn print<T>(
        &self,
        entries: &[T],
        json: impl Fn(&T) -> Value,
        fields: impl Fn(&T) -> Value,
        table: impl FnOnce(&[T]) -> Table,
        heading: bool,
    ) -> Result<()> {
        match self {
            Self::Table => table(entries).print(heading),
            Self::Json => print_json(&entries.iter().map(json).collect::<Vec<_>>()),
            Self::Lines(template) => {
                for entry in entries {
                    line(template.render(&fields(entry))?)?;
                }
                Ok(())
            }
            Self::Columns(template) => {
                let mut table = Table::new(template.titles());
                for entry in entries {
                    table.row(template.cells(&fields(entry))?);
                }
                table.print(heading)
            }
        }
    }
}
