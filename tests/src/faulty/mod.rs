//! A registry that does one thing wrong, over the test image `base`.

mod document;
mod serve;

use crate::images;
use document::Documents;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The manifest is not the one that its digest names.
    Manifest,
    /// The config is not the one that the manifest names.
    Config,
    /// One byte of the layer is another.
    Byte,
    /// The config names a diff ID that is not the layer's.
    DiffId,
    /// The manifest gives the layer a byte less than it has.
    Size,
    /// The layer ends in the middle, however often it is asked for, and says that this was all.
    Truncated,
    /// After the layer more bytes come.
    Oversized,
    /// The connection breaks in the middle of the layer, once.
    BreaksOnce,
    /// The connection breaks in the middle of the layer and nobody listens any more.
    Dies,
    /// The connection stays, and nothing ever comes.
    Hangs,
    /// In the middle of the layer nothing comes any more, however often it is asked for.
    Stalls,
    /// From the middle of the layer on a byte comes each 200 ms, however often it is asked for.
    Trickles,
    /// The image is for another processor.
    Architecture,
    /// Every answer has this status.
    Status(u16),
}

/// A running faulty registry, ended when dropped.
#[derive(Debug)]
pub struct FaultyRegistry {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fault: Fault,
    documents: Documents,
    blobs: PathBuf,
    /// How often the layer was asked for.
    asked: AtomicUsize,
    over: AtomicBool,
}

impl FaultyRegistry {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If no port is to be had.
    pub fn new(fault: Fault) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port of the loopback interface");
        let address = listener.local_addr().expect("its address");
        let layout = images();
        let shared = Arc::new(Shared {
            fault,
            documents: Documents::new(&layout, fault),
            blobs: layout.join("blobs/sha256"),
            asked: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                // A client that goes away is no error of ours.
                std::thread::spawn(move || drop(serve::answer(&serving, &stream)));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// The reference of its image.
    pub fn image(&self) -> String {
        format!("{}/base:latest", self.address)
    }

    /// The reference of its image by digest: the digest that the true manifest has.
    pub fn image_by_digest(&self) -> String {
        format!("{}/base@{}", self.address, self.shared.documents.manifest_digest)
    }

    /// How often its layer was asked for.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyRegistry {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
