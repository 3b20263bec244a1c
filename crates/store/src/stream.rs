//! The stream of a layer, shared out: the caller's thread reads (and so decompresses), a second one hashes, a
//! third one unpacks. Buffers go round between them and their number is bounded, so a slow disk slows the reader.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

/// Large enough that handing one over costs nothing beside writing it.
const CHUNK_BYTES: usize = 256 << 10;
/// Chunks that may wait for each of the two threads.
const WAITING: usize = 4;

/// A filled buffer.
struct Chunk {
    bytes: Box<[u8]>,
    len: usize,
}

/// How the reading side ended.
pub(crate) struct Pumped<T> {
    /// What the consumer made of the stream.
    pub(crate) consumed: T,
    /// SHA-256 of all that was read.
    pub(crate) hash: [u8; 32],
}

/// Reads `from` to its end, at most `limit_bytes` (then the consumer's stream fails with
/// [`io::ErrorKind::FileTooLarge`]), hashes it, and lets `consume` read it, each on a thread of its own.
///
/// # Errors
/// Only that threads cannot be started. A failure of `from` reaches `consume`.
pub(crate) fn pump<T: Send>(
    mut from: impl Read,
    limit_bytes: u64,
    consume: impl FnOnce(ChunkReader) -> T + Send,
) -> io::Result<Pumped<T>> {
    thread::scope(|scope| {
        let (to_hash, hashed) = sync_channel::<Arc<Chunk>>(WAITING);
        let (to_consumer, chunks) = sync_channel(WAITING);
        let hasher = thread::Builder::new().name("layer-hash".into()).spawn_scoped(scope, || hash(hashed))?;
        let consumer = thread::Builder::new()
            .name("layer-unpack".into())
            .spawn_scoped(scope, || consume(ChunkReader::new(chunks)))?;
        read_all(&mut from, limit_bytes, &to_hash, &to_consumer);
        drop((to_hash, to_consumer));
        let died = |_| io::Error::other("a thread that unpacks a layer has died");
        Ok(Pumped { hash: hasher.join().map_err(died)?, consumed: consumer.join().map_err(died)? })
    })
}

fn hash(chunks: Receiver<Arc<Chunk>>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update(&chunk.bytes[..chunk.len]);
    }
    hash.finalize().into()
}

/// Until the end, an error, or a consumer that has had enough.
fn read_all(
    from: &mut impl Read,
    limit_bytes: u64,
    to_hash: &SyncSender<Arc<Chunk>>,
    to_consumer: &SyncSender<io::Result<Arc<Chunk>>>,
) {
    let mut read_bytes = 0;
    let mut pool: Vec<Arc<Chunk>> = Vec::new();
    loop {
        let mut chunk = take_free(&mut pool);
        let Some(buffer) = Arc::get_mut(&mut chunk) else { continue };
        let filled = fill(from, &mut buffer.bytes);
        let result = match filled {
            Ok(0) => return,
            Ok(len) if read_bytes + len as u64 > limit_bytes => Err(io::ErrorKind::FileTooLarge.into()),
            Ok(len) => {
                buffer.len = len;
                read_bytes += len as u64;
                Ok(chunk.clone())
            }
            Err(error) => Err(error),
        };
        let ended = result.is_err();
        if !ended && to_hash.send(chunk.clone()).is_err() {
            return;
        }
        if to_consumer.send(result).is_err() || ended {
            return;
        }
        pool.push(chunk);
    }
}

/// A buffer that nobody reads any more, or a new one. At most `2 * WAITING` are ever in use.
fn take_free(pool: &mut Vec<Arc<Chunk>>) -> Arc<Chunk> {
    match pool.iter_mut().position(|chunk| Arc::get_mut(chunk).is_some()) {
        Some(free) => pool.swap_remove(free),
        None => Arc::new(Chunk { bytes: vec![0; CHUNK_BYTES].into_boxed_slice(), len: 0 }),
    }
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match from.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// The consumer's end.
pub(crate) struct ChunkReader {
    chunks: Receiver<io::Result<Arc<Chunk>>>,
    current: Option<Arc<Chunk>>,
    at: usize,
}

impl ChunkReader {
    fn new(chunks: Receiver<io::Result<Arc<Chunk>>>) -> Self {
        Self { chunks, current: None, at: 0 }
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|chunk| self.at >= chunk.len) {
            // Given back before the wait, so that the reader can fill it.
            self.current = None;
            self.at = 0;
            self.current = self.chunks.recv().ok().transpose()?;
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk.bytes[self.at..chunk.len]))
    }

    fn consume(&mut self, len: usize) {
        self.at += len;
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        self.consume(len);
        Ok(len)
    }
}
