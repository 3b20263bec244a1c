//! The skeleton of a layer: its tar without the data of its files, from which the index can be made before the data is there.
//!
//! An index that came from elsewhere would be metadata that the kernel believes. A skeleton is only read by
//! [`crate::write_index`], by the same rules as the tar, and gives the same index. What it says is proven when the layer is
//! complete: the tar's own index must be the same.

use std::io::{self, BufRead, Read};

use super::sealed::{FormatError, Kind};
use crate::layer::{Bounded, Holes, LayerError, LayerLimits, Reader};

const KIND: Kind = Kind { magic: b"GFRSKELT", version: 1, what: "skeleton of a layer" };

/// Longest skeleton, uncompressed: the headers of more than a million files.
const MAX_BYTES: u64 = 1 << 30;
/// Zeros that are given at once for what is left out.
const ZEROS: &[u8] = &[0; 1 << 16];

/// A tar in parts that are there and parts that are left out.
///
/// ```text
/// diff ID (32 bytes), then until the end: bytes left out (u64) | bytes that follow (u32) | these bytes
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skeleton {
    diff_id: [u8; 32],
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Part {
    omitted_bytes: u64,
    bytes: Vec<u8>,
}

impl Skeleton {
    /// The skeleton of the layer that `tar` gives, whose diff ID the caller knows. Data of sparse files stays, as the index
    /// may have to copy it.
    ///
    /// # Errors
    /// The stream fails, or is refused as a tar archive.
    pub fn of(tar: impl BufRead, diff_id: [u8; 32], limits: &LayerLimits) -> Result<Self, LayerError> {
        Self::cut(tar, diff_id, limits).map_err(|error| limits.said_of(error))
    }

    fn cut(tar: impl BufRead, diff_id: [u8; 32], limits: &LayerLimits) -> Result<Self, LayerError> {
        let source = Bounded::new(tar, limits.stream_bytes());
        let mut reader = Reader::new(Recorder { source, omit_bytes: 0, parts: vec![Part::default()] });
        while let Some(entry) = reader.next_entry()? {
            if let crate::layer::Kind::Regular { size_bytes, holes: Holes::None } = entry.kind {
                reader.stream_mut().omit_bytes = size_bytes;
            }
        }
        let mut recorder = reader.into_stream();
        io::copy(&mut recorder, &mut io::sink()).map_err(|error| LayerError::io("read", b"/", error))?;
        Ok(Self { diff_id, parts: recorder.parts })
    }

    /// Reads a skeleton, as hostile.
    ///
    /// # Errors
    /// It cannot be read, is none, or is damaged.
    pub fn read(from: impl Read) -> Result<Self, FormatError> {
        let body = KIND.open(from, MAX_BYTES)?;
        let mut fields = body.fields();
        let short = || KIND.refused("it ends too early");
        let diff_id = fields.bytes().ok_or_else(short)?;
        let mut parts = Vec::new();
        while fields.left_bytes() > 0 {
            let omitted_bytes = fields.u64().ok_or_else(short)?;
            let len = fields.u32().ok_or_else(short)?;
            let bytes = fields.slice(len as usize).ok_or_else(short)?.to_vec();
            parts.push(Part { omitted_bytes, bytes });
        }
        Ok(Self { diff_id, parts })
    }

    /// The file that [`Self::read`] reads. It compresses well.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.diff_id.to_vec();
        for part in &self.parts {
            let mut omitted_bytes = part.omitted_bytes;
            for bytes in part.bytes.chunks(1 << 30) {
                body.extend(omitted_bytes.to_le_bytes());
                body.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
                body.extend(bytes);
                omitted_bytes = 0;
            }
            if part.bytes.is_empty() && omitted_bytes > 0 {
                body.extend(omitted_bytes.to_le_bytes());
                body.extend(0_u32.to_le_bytes());
            }
        }
        KIND.seal(&body)
    }

    /// The SHA-256 of the whole tar.
    pub fn diff_id(&self) -> &[u8; 32] {
        &self.diff_id
    }

    /// The tar, with zeros for what is left out: as good as the tar itself for [`crate::write_index`].
    pub fn stream(&self) -> impl BufRead {
        Stream {
            parts: &self.parts,
            omitted_bytes: self.parts.first().map_or(0, |part| part.omitted_bytes),
            at: 0,
        }
    }
}

/// Gives what its source gives, and keeps it but for what is to be left out.
struct Recorder<R> {
    source: R,
    /// Of what comes next.
    omit_bytes: u64,
    parts: Vec<Part>,
}

impl<R: BufRead> BufRead for Recorder<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, len: usize) {
        let omitted = usize::try_from(self.omit_bytes).unwrap_or(usize::MAX).min(len);
        if omitted > 0 {
            if self.parts.last().is_none_or(|part| !part.bytes.is_empty()) {
                self.parts.push(Part::default());
            }
            if let Some(part) = self.parts.last_mut() {
                part.omitted_bytes += omitted as u64;
            }
            self.omit_bytes -= omitted as u64;
        }
        // What is consumed is in the buffer, and asking for it again reads nothing.
        if let (Ok(bytes), Some(part)) = (self.source.fill_buf(), self.parts.last_mut()) {
            part.bytes.extend(bytes.get(omitted..len).unwrap_or_default());
        }
        self.source.consume(len);
    }
}

impl<R: BufRead> Read for Recorder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

struct Stream<'a> {
    parts: &'a [Part],
    /// What is left of the first part.
    omitted_bytes: u64,
    at: usize,
}

impl BufRead for Stream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        loop {
            if self.omitted_bytes > 0 {
                let most = usize::try_from(self.omitted_bytes).unwrap_or(usize::MAX);
                return Ok(&ZEROS[..most.min(ZEROS.len())]);
            }
            let Some((first, rest)) = self.parts.split_first() else { return Ok(&[]) };
            if self.at < first.bytes.len() {
                return Ok(&first.bytes[self.at..]);
            }
            self.parts = rest;
            self.omitted_bytes = rest.first().map_or(0, |part| part.omitted_bytes);
            self.at = 0;
        }
    }

    fn consume(&mut self, len: usize) {
        if self.omitted_bytes > 0 {
            self.omitted_bytes -= len as u64;
        } else {
            self.at += len;
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

fn read_buffered(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let bytes = from.fill_buf()?;
    let len = bytes.len().min(buffer.len());
    buffer[..len].copy_from_slice(&bytes[..len]);
    from.consume(len);
    Ok(len)
}
