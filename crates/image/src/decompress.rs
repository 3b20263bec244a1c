//! Layers and archives as plain tar: gzip, zstd or neither, told apart by their first bytes.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

mod ahead;

pub use ahead::decompress_ahead;

/// What is read at once from a compressed stream (bytes).
const BUFFER_BYTES: usize = 128 << 10;

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, the limit of the zstd tool.
const MAX_WINDOW_LOG: u32 = 27;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// gzip, one or more members (RFC 1952).
    Gzip,
    /// zstd, one or more frames (RFC 8878).
    Zstd,
}

/// Why a stream cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// The first bytes cannot be read.
    #[error("cannot read the start of the stream")]
    Read(#[from] io::Error),
    /// Another compression, which no image specification knows.
    #[error("the stream is compressed with {0}, which is not supported: only gzip and zstd are")]
    Unsupported(&'static str),
}

impl Compression {
    /// Tells the compression from the first bytes of a stream; six are enough.
    ///
    /// # Errors
    /// [`DecompressError::Unsupported`] names what is recognised but not supported.
    pub fn sniff(start: &[u8]) -> Result<Self, DecompressError> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            // A skippable frame, such as zstd:chunked may start with.
            [magic, 0x2a, 0x4d, 0x18, ..] if magic & 0xf0 == 0x50 => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(DecompressError::Unsupported("xz")),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, ..] => Err(DecompressError::Unsupported("bzip2")),
            _ => Ok(Self::Plain),
        }
    }
}

/// Decompresses a stream by its own first bytes; a media type may lie, and tools disagree with it in practice.
///
/// The returned reader reads `source` to its very end before it reports its own, so a source that verifies a digest has
/// verified all of it.
///
/// # Errors
/// [`DecompressError`] if the start cannot be read or is of an unsupported kind; broken compressed data is an
/// [`io::Error`] of a later read.
pub fn decompress(source: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, DecompressError> {
    let mut source = BufReader::with_capacity(BUFFER_BYTES, source);
    let mut start = Vec::with_capacity(6);
    (&mut source).take(6).read_to_end(&mut start)?;
    let compression = Compression::sniff(&start)?;
    let source = io::Cursor::new(start).chain(source);
    Ok(match compression {
        Compression::Plain => Box::new(source),
        Compression::Gzip => Box::new(ToTheEnd { decoder: MultiGzDecoder::new(source), ended: false }),
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::with_buffer(source)?;
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Box::new(ToTheEnd { decoder, ended: false })
        }
    })
}

/// A decoder whose end is reported only once its source has ended too.
struct ToTheEnd<D> {
    decoder: D,
    ended: bool,
}

impl<D: Decoder> Read for ToTheEnd<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.ended {
            return Ok(0);
        }
        let len = self.decoder.read(buffer)?;
        if len == 0 {
            let rest = self.decoder.source().fill_buf()?;
            if !rest.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "something follows the end of the compressed stream",
                ));
            }
            self.ended = true;
        }
        Ok(len)
    }
}

trait Decoder: Read {
    type Source: BufRead;
    fn source(&mut self) -> &mut Self::Source;
}

impl<S: BufRead> Decoder for MultiGzDecoder<S> {
    type Source = S;
    fn source(&mut self) -> &mut S {
        self.get_mut()
    }
}

impl<S: BufRead> Decoder for ZstdDecoder<'_, S> {
    type Source = S;
    fn source(&mut self) -> &mut S {
        self.get_mut()
    }
}

#[cfg(test)]
mod tests;
