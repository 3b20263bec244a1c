//! Decompressing in a thread of its own, so that a large layer keeps two processors busy: one inflates while the
//! other hashes and writes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::{DecompressError, decompress};

/// The size of one buffer (bytes).
const BUFFER_BYTES: usize = 256 << 10;

/// So many buffers are on their way between the two threads; they are used again and again.
const BUFFERS: usize = 8;

/// As [`decompress`], with the work done ahead of the reader in another thread.
///
/// At most two megabytes are decompressed ahead. The thread ends with the stream, or at its next piece once the reader
/// is dropped.
///
/// # Errors
/// As [`decompress`], and [`DecompressError::Read`] if no thread can be started.
pub fn decompress_ahead(source: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, DecompressError> {
    let stream = decompress(source)?;
    let (filled_in, filled) = sync_channel(BUFFERS);
    let (empty, empty_out) = channel();
    for _ in 0..BUFFERS {
        // The receiver is in scope: this cannot fail.
        let _ = empty.send(Vec::new());
    }
    std::thread::Builder::new()
        .name("decompress".to_owned())
        .spawn(move || fill(stream, &empty_out, &filled_in))?;
    Ok(Box::new(Ahead { filled, empty, current: Vec::new(), position: 0, ended: false }))
}

/// What the reader gets: a full buffer, an empty one for the end, or the error that ended it.
type Filled = io::Result<Vec<u8>>;

fn fill(mut stream: impl Read, empty: &Receiver<Vec<u8>>, filled: &SyncSender<Filled>) {
    while let Ok(mut buffer) = empty.recv() {
        buffer.resize(BUFFER_BYTES, 0);
        let (len, failure) = read_full(&mut stream, &mut buffer);
        buffer.truncate(len);
        let ended = len == 0 && failure.is_none();
        if (len > 0 || ended) && filled.send(Ok(buffer)).is_err() {
            return;
        }
        if ended {
            return;
        }
        if let Some(error) = failure {
            // A reader that is gone needs no error.
            let _ = filled.send(Err(error));
            return;
        }
    }
}

/// Fills the buffer as far as the stream goes.
fn read_full(stream: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut len = 0;
    while len < buffer.len() {
        match stream.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (len, Some(error)),
        }
    }
    (len, None)
}

struct Ahead {
    filled: Receiver<Filled>,
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() && !self.ended && !buffer.is_empty() {
            // A thread that ended without a last word must not look like the end of the stream.
            let next = self.filled.recv().unwrap_or_else(|_| Err(io::Error::other("decompression failed")));
            let used = std::mem::replace(&mut self.current, next?);
            self.position = 0;
            self.ended = self.current.is_empty();
            let _ = self.empty.send(used);
        }
        let rest = &self.current[self.position..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.position += len;
        Ok(len)
    }
}
