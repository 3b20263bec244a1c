//! What runs inside the demo's container: a small HTTP server, the same program as outside.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use gaufre_engine::demo::PORT;

use crate::output::{line, note};

/// What it answers.
pub(super) const GREETING: &str = "Hello from inside a container.\n";

/// Answers every request on port 80 with a greeting, until it is told to stop.
pub(crate) fn serve() -> ExitCode {
    // Process 1 of a PID namespace ignores what it does not handle, pid_namespaces(7).
    let armed = Arc::new(AtomicBool::new(true));
    if let Err(error) =
        signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGTERM, 0, armed)
    {
        note(format_args!("cannot handle SIGTERM: {error}"));
        return ExitCode::FAILURE;
    }
    let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)) {
        Ok(listener) => listener,
        Err(error) => {
            note(format_args!("cannot listen on port {PORT}: {error}"));
            return ExitCode::FAILURE;
        }
    };
    say(format_args!("listening on port {PORT}"));
    for client in listener.incoming().flatten() {
        match answer(&client) {
            Ok(request) => say(request),
            Err(error) => note(format_args!("a client broke off: {error}")),
        }
    }
    ExitCode::SUCCESS
}

/// Reads a request's head, answers, and gives its first line.
fn answer(mut client: &TcpStream) -> std::io::Result<String> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(client).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let len = GREETING.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{GREETING}"
    )?;
    Ok(request)
}

/// A line that nobody keeps is no reason to stop answering.
fn say(text: impl std::fmt::Display) {
    let _ = line(text);
}
