//! `gaufre logs`.

use std::io::{self, BufWriter, StdoutLock, Write};

use gaufre_engine::{Engine, LogRecord, LogsOptions, Stream};
use jiff::Timestamp;

use crate::args::{parse_when, some_of};
use crate::cli::Global;
use crate::failure::{Result, for_each};

/// Print what containers wrote to standard output and error
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on while the container runs
    #[arg(short, long)]
    follow: bool,

    /// Print only the last so many lines; all or -1 for all
    #[arg(long, value_name = "LINES", default_value_t = -1, hide_default_value = true, allow_hyphen_values = true, value_parser = lines)]
    tail: i64,

    /// Print only what is newer: 10m, 2024-05-01T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<Timestamp>,

    /// Print only what is older
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<Timestamp>,

    /// Print when each line was written
    #[arg(short, long)]
    timestamps: bool,

    /// Print whose line each is
    #[arg(short, long)]
    names: bool,

    /// Names or IDs
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

fn lines(text: &str) -> std::result::Result<i64, String> {
    // podman and Docker know this word too.
    if text == "all" { Ok(-1) } else { text.parse().map_err(|_| format!("'{text}' is no number of lines")) }
}

fn when(text: &str) -> std::result::Result<Timestamp, String> {
    parse_when(text, Timestamp::now())
}

pub(crate) fn execute(args: &Args, global: &Global) -> Result<u8> {
    let engine = global.engine()?;
    for_each(some_of(&args.containers)?, |name| print(&engine, name, args))
}

fn print(engine: &Engine, name: &str, args: &Args) -> Result<()> {
    let options = LogsOptions {
        tail: usize::try_from(args.tail).ok(),
        since: args.since,
        until: args.until,
        follow: args.follow,
    };
    let mut printer = Printer {
        out: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
        prefix: if args.names { format!("{name} ") } else { String::new() },
        timestamps: args.timestamps,
        within_line: [false; 2],
    };
    for record in engine.logs(name, options)? {
        printer.print(&record?)?;
        if args.follow {
            printer.out.flush()?;
        }
    }
    Ok(printer.out.flush()?)
}

/// Sends each record to the stream that it was written to.
struct Printer {
    out: BufWriter<StdoutLock<'static>>,
    prefix: String,
    timestamps: bool,
    /// For each stream, whether its last record was part of a line.
    within_line: [bool; 2],
}

impl Printer {
    fn print(&mut self, record: &LogRecord) -> io::Result<()> {
        let at = usize::from(record.stream == Stream::Stderr);
        let mut line = Vec::with_capacity(record.bytes.len() + 40);
        if !self.within_line[at] {
            line.extend_from_slice(self.prefix.as_bytes());
            if self.timestamps {
                line.extend_from_slice(format!("{:.9} ", record.time).as_bytes());
            }
        }
        line.extend_from_slice(&record.bytes);
        if !record.partial {
            line.push(b'\n');
        }
        self.within_line[at] = record.partial;
        match record.stream {
            Stream::Stdout => self.out.write_all(&line),
            Stream::Stderr => {
                // Where both are one terminal their order is to be seen.
                self.out.flush()?;
                io::stderr().write_all(&line)
            }
        }
    }
}
