//! A layer as a blocking reader, transferred by a task of the runtime.
//!
//! The task hashes what arrives, resumes with a Range request where a connection broke, and passes pieces on through
//! a queue of at most [`QUEUE_BYTES`]. The end of the stream is passed on only when size and digest are right, so
//! the reader cannot reach the end of wrong bytes.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::{Buf, Bytes};
use oci_spec::image::Descriptor;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::client::Client;
use crate::image::{Image, LayerError, Progress};

mod transfer;

use transfer::Transfer;

/// What may wait between the connection and the reader (bytes); a connection that is faster is held back.
const QUEUE_BYTES: usize = 1 << 20;

/// What the transfer passes to the reader.
enum Piece {
    Bytes(Bytes),
    Failed(LayerError),
    /// All bytes came, and they are the right ones.
    Verified,
}

/// Reads a layer as transferred; see [`crate::LayerSource::open_layer`].
pub(super) struct LayerReader {
    digest: String,
    pieces: Receiver<Piece>,
    current: Bytes,
    ended: Ended,
    room: Arc<Semaphore>,
    task: JoinHandle<()>,
    // The task runs as long as the reader lives, also after the registry client is dropped.
    _runtime: Arc<Runtime>,
}

enum Ended {
    Not,
    Verified,
    Failed,
}

/// Starts the transfer of a layer; nothing has arrived when this returns.
pub(super) fn open(
    runtime: &Arc<Runtime>,
    client: &Arc<Client>,
    image: &Image,
    layer: &Descriptor,
    progress: Arc<dyn Progress>,
) -> Result<LayerReader, LayerError> {
    let (sender, pieces) = channel();
    let room = Arc::new(Semaphore::new(QUEUE_BYTES));
    let queue = Queue { sender, room: Arc::clone(&room) };
    let transfer = Transfer::new(Arc::clone(client), image, layer, progress)?;
    let task = runtime.spawn(async move { transfer.run(queue).await });
    Ok(LayerReader {
        digest: layer.digest().to_string(),
        pieces,
        current: Bytes::new(),
        ended: Ended::Not,
        room,
        task,
        _runtime: Arc::clone(runtime),
    })
}

/// The transfer's end of the queue.
struct Queue {
    sender: Sender<Piece>,
    room: Arc<Semaphore>,
}

impl Queue {
    /// Waits for room, then passes the bytes on; false if nobody reads any more.
    async fn pass(&self, mut bytes: Bytes) -> bool {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(QUEUE_BYTES / 4));
            let Ok(len) = u32::try_from(piece.len()) else { return false };
            match self.room.acquire_many(len).await {
                Ok(permit) => permit.forget(),
                Err(_) => return false,
            }
            if self.sender.send(Piece::Bytes(piece)).is_err() {
                return false;
            }
        }
        true
    }

    fn finish(&self, result: Result<(), LayerError>) {
        // A reader that is gone needs no last word.
        let _ = self.sender.send(result.map_or_else(Piece::Failed, |()| Piece::Verified));
    }
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() {
            match self.ended {
                Ended::Verified => return Ok(0),
                Ended::Failed => return Err(self.already_failed()),
                Ended::Not => self.next_piece()?,
            }
        }
        let len = buffer.len().min(self.current.len());
        buffer[..len].copy_from_slice(&self.current[..len]);
        self.current.advance(len);
        self.room.add_permits(len);
        Ok(len)
    }
}

impl LayerReader {
    fn next_piece(&mut self) -> io::Result<()> {
        match self.pieces.recv() {
            Ok(Piece::Bytes(bytes)) => self.current = bytes,
            Ok(Piece::Verified) => self.ended = Ended::Verified,
            Ok(Piece::Failed(error)) => {
                self.ended = Ended::Failed;
                return Err(io::Error::other(error));
            }
            // The task ended without a last word; that must never look like the end of the layer.
            Err(_) => {
                self.ended = Ended::Failed;
                return Err(self.already_failed());
            }
        }
        Ok(())
    }

    fn already_failed(&self) -> io::Error {
        io::Error::other(LayerError::AlreadyFailed { digest: self.digest.clone() })
    }
}

impl Drop for LayerReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
