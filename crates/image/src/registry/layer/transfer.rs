//! The transfer of one layer: stretches of bytes, resumed where the last one broke.

use std::sync::Arc;

use bytes::Buf;
use oci_spec::image::Descriptor;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};

use super::Queue;
use crate::digest::{Hasher, require_sha256};
use crate::image::{Image, LayerError, Progress};
use crate::registries::Location;
use crate::registry::client::{Ask, Client};
use crate::registry::pace::Pace;
use crate::registry::request_error::RequestError;

/// A stretch at least this long (bytes) shows that the registry works: failures are counted anew after it.
const GOOD_STRETCH_BYTES: u64 = 1 << 20;

pub(super) struct Transfer {
    client: Arc<Client>,
    locations: Vec<Location>,
    descriptor: Descriptor,
    progress: Arc<dyn Progress>,
    hasher: Hasher,
}

/// How a stretch ended before the layer did.
enum Cut {
    /// It may go on from where it broke.
    Broken(RequestError),
    Ended,
    Fatal(LayerError),
    /// Nobody reads any more.
    Abandoned,
}

impl Transfer {
    pub(super) fn new(
        client: Arc<Client>,
        image: &Image,
        layer: &Descriptor,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, LayerError> {
        let failed = |from: String, source: Box<dyn std::error::Error + Send + Sync>| LayerError::Open {
            digest: layer.digest().to_string(),
            from,
            source,
        };
        let Some(reference) = &image.reference else {
            return Err(failed("a registry".to_owned(), "the image came from an archive".into()));
        };
        require_sha256(layer.digest()).map_err(|source| failed(reference.name(), source.into()))?;
        let mut locations = client
            .options
            .registries
            .locations(reference, client.options.tls_verify)
            .map_err(|source| failed(reference.name(), source.into()))?;
        // The location that had the manifest most likely has the layers.
        let first = image.location.min(locations.len().saturating_sub(1));
        locations.rotate_left(first);
        Ok(Self { client, locations, descriptor: layer.clone(), progress, hasher: Hasher::default() })
    }

    pub(super) async fn run(mut self, queue: Queue) {
        let mut at = 0;
        let mut failures = 0;
        let result = loop {
            let before = self.hasher.len_bytes();
            let Some(location) = self.locations.get(at).cloned() else {
                break Err(self.open_error(RequestError::Address(String::new())));
            };
            match self.stretch(&location, &queue).await {
                Ok(()) => break self.verify(&location),
                Err(Cut::Abandoned) => return,
                Err(Cut::Fatal(LayerError::Open { .. })) if at + 1 < self.locations.len() => at += 1,
                Err(Cut::Fatal(error)) => break Err(error),
                Err(cut @ (Cut::Broken(_) | Cut::Ended)) => {
                    if self.hasher.len_bytes() - before >= GOOD_STRETCH_BYTES {
                        failures = 0;
                    }
                    failures += 1;
                    let Some(pause) = self.client.options.retry.pause_after(failures) else {
                        break Err(self.given_up(&location, cut));
                    };
                    self.progress.retrying(&match cut {
                        Cut::Broken(error) => error.to_string(),
                        _ => format!("registry {} ended the layer early", location.authority.registry),
                    });
                    tokio::time::sleep(pause).await;
                }
            }
        };
        queue.finish(result);
    }

    /// Asks for what is missing and passes it on until the layer is complete or the stretch breaks.
    async fn stretch(&mut self, location: &Location, queue: &Queue) -> Result<(), Cut> {
        let offset = self.hasher.len_bytes();
        let size_bytes = self.descriptor.size();
        if offset == size_bytes && offset > 0 {
            return Ok(());
        }
        let ask = Ask {
            location,
            path: format!("blobs/{}", self.descriptor.digest()),
            accept: None,
            from_byte: offset,
            what: format!("layer {} of {}", self.descriptor.digest(), location.reference.repository()),
        };
        let mut response = self.client.get(&ask).await.map_err(|error| Cut::Fatal(self.open_error(error)))?;
        let mut skip = self.bytes_to_skip(location, &response, offset).map_err(Cut::Fatal)?;
        let mut pace = Pace::new(self.client.options.timeouts);
        let registry = &location.authority.registry;
        loop {
            let chunk = pace.next_chunk(&mut response, registry, &ask.what).await.map_err(Cut::Broken)?;
            let Some(mut chunk) = chunk else {
                return if self.hasher.len_bytes() == size_bytes { Ok(()) } else { Err(Cut::Ended) };
            };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            // No more than the chunk's length.
            chunk.advance(usize::try_from(skipped).unwrap_or(chunk.len()));
            if chunk.is_empty() {
                continue;
            }
            if self.hasher.len_bytes() + chunk.len() as u64 > size_bytes {
                let (digest, from) = self.names(location);
                return Err(Cut::Fatal(LayerError::Oversized { digest, from, size_bytes }));
            }
            self.hasher.update(&chunk);
            self.progress.advance(chunk.len() as u64);
            if !queue.pass(chunk).await {
                return Err(Cut::Abandoned);
            }
        }
    }

    /// Compares what the response announces with what was asked for. A server that knows no ranges sends everything
    /// again: then what we have is skipped.
    fn bytes_to_skip(
        &self,
        location: &Location,
        response: &Response,
        offset: u64,
    ) -> Result<u64, LayerError> {
        let (digest, from) = self.names(location);
        let size_bytes = self.descriptor.size();
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return match response.content_length() {
                Some(announced_bytes) if announced_bytes != size_bytes => {
                    Err(LayerError::WrongSize { digest, from, announced_bytes, size_bytes })
                }
                _ => Ok(offset),
            };
        }
        let header = response.headers().get(CONTENT_RANGE);
        let text = header.map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
        match content_range(&text) {
            Some((start, total)) if start == offset => match total {
                Some(announced_bytes) if announced_bytes != size_bytes => {
                    Err(LayerError::WrongSize { digest, from, announced_bytes, size_bytes })
                }
                _ => Ok(0),
            },
            _ => {
                let content_range = text.chars().take(100).collect();
                Err(LayerError::WrongRange { digest, from, content_range })
            }
        }
    }

    fn verify(&self, location: &Location) -> Result<(), LayerError> {
        let found = self.hasher.clone().finish();
        if found == *self.descriptor.digest() {
            return Ok(());
        }
        let (digest, from) = self.names(location);
        Err(LayerError::WrongDigest { digest, from, found: found.to_string() })
    }

    fn open_error(&self, error: RequestError) -> LayerError {
        let from = self.locations.first().map(|location| location.authority.registry.clone());
        LayerError::Open {
            digest: self.descriptor.digest().to_string(),
            from: from.unwrap_or_default(),
            source: error.into(),
        }
    }

    fn given_up(&self, location: &Location, cut: Cut) -> LayerError {
        let (digest, from) = self.names(location);
        let (received_bytes, size_bytes) = (self.hasher.len_bytes(), self.descriptor.size());
        match cut {
            Cut::Broken(error) => {
                let source = error.into();
                LayerError::Interrupted { digest, from, received_bytes, size_bytes, source }
            }
            _ => LayerError::Truncated { digest, from, received_bytes, size_bytes },
        }
    }

    fn names(&self, location: &Location) -> (String, String) {
        (self.descriptor.digest().to_string(), location.authority.registry.clone())
    }
}

/// First byte and whole length of `bytes 5-9/10` or `bytes 5-9/*` (RFC 9110 section 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.trim().parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::content_range;

    #[test]
    fn a_content_range_is_read_or_refused() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for text in ["", "bytes */10", "items 0-1/2", "bytes 5/10", "bytes -5/10", "bytes 5-9/x"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
