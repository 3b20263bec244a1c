//! Answers of the small registry.

use std::io::{self, Write};

use super::request::Request;
use crate::build::Blob;

/// A blob or manifest, whole or the range asked for.
pub(super) fn blob(stream: impl Write, request: &Request, blob: &Blob) -> io::Result<()> {
    let total = blob.bytes.len();
    let mut head = format!(
        "Content-Type: {}\r\nDocker-Content-Digest: {}\r\nAccept-Ranges: bytes\r\n",
        blob.media_type, blob.digest
    );
    let Some((first, last)) = request.range else {
        return send(stream, request, "200 OK", &head, &blob.bytes);
    };
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let last = last.and_then(|last| usize::try_from(last).ok()).unwrap_or(usize::MAX);
    let last = last.min(total.saturating_sub(1));
    if first >= total || first > last {
        let head = format!("Content-Range: bytes */{total}\r\n");
        return send(stream, request, "416 Range Not Satisfiable", &head, b"");
    }
    head.push_str(&format!("Content-Range: bytes {first}-{last}/{total}\r\n"));
    send(stream, request, "206 Partial Content", &head, &blob.bytes[first..=last])
}

pub(super) fn json(stream: impl Write, request: &Request, body: &[u8]) -> io::Result<()> {
    send(stream, request, "200 OK", "Content-Type: application/json\r\n", body)
}

/// An error in the form of the distribution specification.
pub(super) fn error(stream: impl Write, request: &Request, status: &str, code: &str) -> io::Result<()> {
    let body = format!(r#"{{"errors":[{{"code":"{code}"}}]}}"#);
    send(stream, request, status, "Content-Type: application/json\r\n", body.as_bytes())
}

/// The last word to a client that does not speak HTTP.
pub(super) fn bad_request(mut stream: impl Write) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn send(mut stream: impl Write, request: &Request, status: &str, head: &str, body: &[u8]) -> io::Result<()> {
    let connection = if request.closes { "Connection: close\r\n" } else { "" };
    let version = "Docker-Distribution-API-Version: registry/2.0\r\n";
    let len_bytes = body.len();
    let text = format!("HTTP/1.1 {status}\r\n{version}{head}Content-Length: {len_bytes}\r\n{connection}\r\n");
    stream.write_all(text.as_bytes())?;
    match request.method.as_str() {
        "HEAD" => Ok(()),
        _ => stream.write_all(body),
    }
}
