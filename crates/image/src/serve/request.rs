//! The head of an HTTP/1.1 request (RFC 9112), as far as a read-only registry needs it.

use std::io::{self, BufRead, Read};

/// A longer head is refused (bytes).
const MAX_HEAD_BYTES: u64 = 16 << 10;

/// A request without a body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// First byte and, if given, last byte asked for.
    pub(super) range: Option<(u64, Option<u64>)>,
    /// The connection ends with the answer.
    pub(super) closes: bool,
}

impl Request {
    /// Reads one request; none if the client closed the connection between two.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not an HTTP request");
        // A TLS handshake has no line ends to wait for.
        match reader.fill_buf()?.first() {
            None => return Ok(None),
            Some(first) if !first.is_ascii_uppercase() => return Err(invalid()),
            Some(_) => {}
        }
        let mut head = reader.take(MAX_HEAD_BYTES);
        let mut line = String::new();
        head.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (Some(method), Some(path), Some(version)) = (words.next(), words.next(), words.next()) else {
            return Err(invalid());
        };
        let path = path.split('?').next().unwrap_or(path).to_owned();
        let mut request =
            Self { method: method.to_owned(), path, range: None, closes: version != "HTTP/1.1" };
        loop {
            let mut line = String::new();
            head.read_line(&mut line)?;
            if !line.ends_with('\n') {
                return Err(invalid());
            }
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(Some(request));
            }
            let (name, value) = line.split_once(':').ok_or_else(invalid)?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = range(value),
                "connection" => request.closes |= value.eq_ignore_ascii_case("close"),
                // A body would be taken for the next request.
                "content-length" if value != "0" => return Err(invalid()),
                "transfer-encoding" => return Err(invalid()),
                _ => {}
            }
        }
    }
}

/// `bytes=5-` or `bytes=5-9`; other forms are ignored, as RFC 9110 section 14.2 allows.
fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
    Some((first.parse().ok()?, last))
}
