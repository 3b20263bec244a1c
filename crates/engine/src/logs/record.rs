//! One record of a log.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Which stream the workload wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Its standard output, or its terminal.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// A piece of a log: a line, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// When the keeper read it.
    pub time: Timestamp,
    /// Where it was written.
    pub stream: Stream,
    /// Whether the line goes on in the stream's next record.
    pub partial: bool,
    /// What was written, without the newline.
    pub bytes: Vec<u8>,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl LogRecord {
    /// Reads one line of a log file, without its newline; `None` when it is not a record, as after a power cut.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let stream = match fields.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = match fields.next()? {
            b"F" => false,
            b"P" => true,
            _ => return None,
        };
        Some(Self { time, stream, partial, bytes: fields.next()?.to_vec() })
    }
}

/// Appends `output` to `log` as records: a full one for each newline, a partial one for what follows the last.
pub(super) fn append_records(log: &mut Vec<u8>, time: Timestamp, stream: Stream, output: &[u8]) {
    let head = format!("{} {} ", rfc3339(time), stream.name());
    for line in output.split_inclusive(|byte| *byte == b'\n') {
        log.extend_from_slice(head.as_bytes());
        let (tag, text): (&[u8], &[u8]) = match line.strip_suffix(b"\n") {
            Some(text) => (b"F ", text),
            None => (b"P ", line),
        };
        log.extend_from_slice(tag);
        log.extend_from_slice(text);
        log.push(b'\n');
    }
}

/// The time with all nine digits, so that records sort as text.
fn rfc3339(time: Timestamp) -> String {
    let seconds = time - SignedDuration::from_nanos(i64::from(time.subsec_nanosecond()));
    let text = seconds.to_string();
    format!("{}.{:09}Z", text.trim_end_matches('Z'), time.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_reads_back_as_it_was_written() {
        let time: Timestamp = "2026-11-21T08:00:00.000000042Z".parse().unwrap();
        let mut log = Vec::new();
        append_records(&mut log, time, Stream::Stderr, b"one\n\ntwo words \xff");
        assert!(
            log.starts_with(b"2026-11-21T08:00:00.000000042Z stderr F one\n"),
            "{:?}",
            log.escape_ascii()
        );
        let records: Vec<_> = log.split(|b| *b == b'\n').filter_map(LogRecord::parse).collect();
        assert_eq!(
            records.iter().map(|r| r.bytes.as_slice()).collect::<Vec<_>>(),
            [b"one".as_slice(), b"", b"two words \xff"]
        );
        assert_eq!(records.iter().map(|r| r.partial).collect::<Vec<_>>(), [false, false, true]);
        assert!(records.iter().all(|r| r.time == time && r.stream == Stream::Stderr));
    }

    #[test]
    fn what_is_no_record_is_passed_over() {
        for line in ["", "x", "2026-11-21T08:00:00Z stdout X y", "2026-11-21T08:00:00Z stdlog F y"] {
            assert_eq!(LogRecord::parse(line.as_bytes()), None, "{line}");
        }
    }
}
