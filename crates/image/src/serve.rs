//! A small read-only registry on a loopback socket, for the demo and for tests: manifests by tag or digest, blobs
//! whole or by range (OCI distribution specification, pull). One thread for each connection; plain HTTP only.

use std::collections::HashMap;
use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::build::{Blob, BuiltImage};

mod request;
mod response;

use request::Request;

/// So many connections are served at once; more are closed.
const MAX_CONNECTIONS: usize = 64;

/// A connection that is silent for longer is closed.
const IDLE: Duration = Duration::from_secs(30);

/// What the registry serves.
#[derive(Clone, Debug, Default)]
pub struct RegistryServer {
    /// By `repository:tag` and `repository@digest`.
    manifests: HashMap<String, Blob>,
    /// By digest.
    blobs: HashMap<String, Blob>,
}

impl RegistryServer {
    /// A registry without images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an image under `repository:tag`.
    #[must_use]
    pub fn with_image(mut self, repository: &str, tag: &str, image: &BuiltImage) -> Self {
        let manifest = &image.manifest;
        self.manifests.insert(format!("{repository}:{tag}"), manifest.clone());
        self.manifests.insert(format!("{repository}@{}", manifest.digest), manifest.clone());
        for blob in [&image.config, &image.layer] {
            self.blobs.insert(blob.digest.to_string(), blob.clone());
        }
        self
    }

    /// Serves until accepting fails; run it in a thread or process of its own.
    ///
    /// # Errors
    /// What accept(2) gives when the socket is no longer usable.
    pub fn serve(self, listener: &TcpListener) -> io::Result<()> {
        let server = Arc::new(self);
        let open = Arc::new(AtomicUsize::new(0));
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                // The peer was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                open.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (server, count) = (Arc::clone(&server), Arc::clone(&open));
            let started = std::thread::Builder::new().spawn(move || {
                // A client that breaks off is its own affair.
                let _ = server.converse(&stream);
                count.fetch_sub(1, Ordering::Relaxed);
            });
            if started.is_err() {
                open.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Answers the requests of one connection until it is closed.
    fn converse(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(IDLE))?;
        stream.set_write_timeout(Some(IDLE))?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        loop {
            let request = match Request::read(&mut reader) {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(error) => {
                    // Such as a TLS handshake: the client learns that this is plain HTTP.
                    response::bad_request(stream)?;
                    return Err(error);
                }
            };
            self.answer(stream, &request)?;
            if request.closes {
                return Ok(());
            }
        }
    }

    fn answer(&self, stream: &TcpStream, request: &Request) -> io::Result<()> {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return response::error(stream, request, "405 Method Not Allowed", "UNSUPPORTED");
        }
        let Some(path) = request.path.strip_prefix("/v2/") else {
            return response::error(stream, request, "404 Not Found", "NAME_UNKNOWN");
        };
        if path.is_empty() {
            return response::json(stream, request, b"{}");
        }
        if let Some((repository, key)) = path.rsplit_once("/manifests/") {
            let separator = if key.contains(':') { '@' } else { ':' };
            return match self.manifests.get(&format!("{repository}{separator}{key}")) {
                Some(manifest) => response::blob(stream, request, manifest),
                None => response::error(stream, request, "404 Not Found", "MANIFEST_UNKNOWN"),
            };
        }
        match path.rsplit_once("/blobs/").and_then(|(_, digest)| self.blobs.get(digest)) {
            Some(blob) => response::blob(stream, request, blob),
            None => response::error(stream, request, "404 Not Found", "BLOB_UNKNOWN"),
        }
    }
}

#[cfg(test)]
mod tests;
