//! A layer read from an archive, verified as it is read.

use std::io::{self, Read};
use std::sync::Arc;

use oci_spec::image::Descriptor;

use super::section::Section;
use crate::digest::Hasher;
use crate::image::{LayerError, Progress};

/// Ends only if size and digest are right; else the last read is an error.
pub(super) struct VerifiedReader {
    section: Section,
    from: String,
    layer: Descriptor,
    progress: Arc<dyn Progress>,
    /// None once the end was verified.
    hasher: Option<Hasher>,
}

impl VerifiedReader {
    pub(super) fn new(
        section: Section,
        from: String,
        layer: &Descriptor,
        progress: Arc<dyn Progress>,
    ) -> Result<Self, LayerError> {
        let (announced_bytes, size_bytes) = (section.len_bytes(), layer.size());
        if announced_bytes != size_bytes {
            let digest = layer.digest().to_string();
            return Err(LayerError::WrongSize { digest, from, announced_bytes, size_bytes });
        }
        Ok(Self { section, from, layer: layer.clone(), progress, hasher: Some(Hasher::default()) })
    }

    fn verify(&mut self) -> Result<(), LayerError> {
        let Some(hasher) = &self.hasher else { return Ok(()) };
        let (digest, from) = (self.layer.digest().to_string(), self.from.clone());
        let (received_bytes, size_bytes) = (hasher.len_bytes(), self.layer.size());
        if received_bytes < size_bytes {
            return Err(LayerError::Truncated { digest, from, received_bytes, size_bytes });
        }
        let found = hasher.clone().finish();
        if found != *self.layer.digest() {
            return Err(LayerError::WrongDigest { digest, from, found: found.to_string() });
        }
        self.hasher = None;
        Ok(())
    }
}

impl Read for VerifiedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let len = self.section.read(buffer)?;
        if len == 0 {
            self.verify().map_err(io::Error::other)?;
        } else if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..len]);
            self.progress.advance(len as u64);
        }
        Ok(len)
    }
}
