//! Answers one request, as the OCI distribution specification has it except for the fault.

use super::{Fault, Shared};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) fn answer(shared: &Shared, mut stream: &TcpStream) -> io::Result<()> {
    let request = Request::read(stream)?;
    if let Fault::Status(status) = shared.fault {
        let challenge = if status == 401 { "WWW-Authenticate: Basic realm=\"waffles\"\r\n" } else { "" };
        return write!(
            stream,
            "HTTP/1.1 {status} No\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    if shared.fault == Fault::Hangs {
        return until_the_client_goes(stream);
    }
    let documents = &shared.documents;
    if request.path == "/v2/" {
        return whole(stream, &request, "application/json", b"{}");
    }
    if request.path.contains("/manifests/") {
        return whole(stream, &request, MANIFEST, &documents.manifest);
    }
    if request.path.ends_with(&documents.config_digest) {
        return whole(stream, &request, "application/octet-stream", &documents.config);
    }
    if request.path.ends_with(&documents.layer) {
        return layer(shared, stream, &request);
    }
    write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn whole(mut stream: &TcpStream, request: &Request, kind: &str, body: &[u8]) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if request.head { Ok(()) } else { stream.write_all(body) }
}

fn layer(shared: &Shared, mut stream: &TcpStream, request: &Request) -> io::Result<()> {
    let mut bytes = fs::read(shared.blobs.join(&shared.documents.layer))?;
    let middle = bytes.len() / 2;
    let before = if request.head { 0 } else { shared.asked.fetch_add(1, Ordering::SeqCst) };
    match shared.fault {
        Fault::Byte => bytes[middle] ^= 1,
        Fault::Truncated => bytes.truncate(middle),
        Fault::Oversized => bytes.extend_from_slice(&[0; 100_000]),
        _ => {}
    }
    let from = request.from.min(bytes.len());
    let (status, range) = match from {
        0 => ("200 OK", String::new()),
        _ => (
            "206 Partial Content",
            format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len()),
        ),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/octet-stream\r\n{range}Content-Length: {}\r\nConnection: close\r\n\r\n",
        bytes.len() - from
    )?;
    let end = match shared.fault {
        Fault::BreaksOnce if before == 0 => middle,
        Fault::Stalls | Fault::Trickles => middle,
        Fault::Dies => {
            shared.over.store(true, Ordering::SeqCst);
            middle
        }
        _ => bytes.len(),
    };
    if request.head {
        return Ok(());
    }
    stream.write_all(&bytes[from.min(end)..end])?;
    match shared.fault {
        Fault::Stalls => until_the_client_goes(stream),
        Fault::Trickles => bytes[from.max(end)..].chunks(1).try_for_each(|byte| {
            std::thread::sleep(Duration::from_millis(200));
            stream.write_all(byte)
        }),
        _ => Ok(()),
    }
}

fn until_the_client_goes(mut stream: &TcpStream) -> io::Result<()> {
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

struct Request {
    head: bool,
    path: String,
    /// The first byte asked for, by a Range header.
    from: usize,
}

impl Request {
    fn read(stream: &TcpStream) -> io::Result<Self> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut words = first.split(' ');
        let head = words.next() == Some("HEAD");
        let path = words.next().unwrap_or_default().to_owned();
        let mut from = 0;
        for line in lines {
            let line = line?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.split('-').next().and_then(|start| start.parse().ok()).unwrap_or(0);
            }
        }
        Ok(Self { head, path, from })
    }
}
