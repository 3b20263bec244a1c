//! Bringing an image into the store, from wherever it comes.

use crate::failure::Failure;
use crate::progress::{PullProgress, Watched};
use gaufre_image::{DecompressError, Image, Layer, LayerError, LayerSource, decompress_ahead};
use gaufre_store::{AddLayerError, ImageRecord, LayerInfo, LayerLimits, Lease, Origin, Store};
use oci_spec::image::Digest;
use std::collections::BTreeSet;
use std::error::Error;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// No more layers than this are fetched and unpacked at once, and no more than there are processors: unpacking is
/// mostly the kernel's work, and more of it at once than processors only waits for the filesystem's locks.
const LAYERS_AT_ONCE: usize = 4;

/// An image that was found cannot be brought into the store. Nothing of it is used; whole layers stay for a next try
/// until they are collected.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// Garbage collection cannot be kept away.
    #[error("cannot lock the store")]
    Lease(#[source] std::io::Error),
    /// A layer cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] Box<LayerError>),
    /// A layer is compressed in a way that is not known.
    #[error("cannot decompress layer {digest}")]
    Decompress {
        /// Its digest.
        digest: String,
        /// Why.
        source: Box<DecompressError>,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack layer {digest}")]
    Unpack {
        /// Its digest.
        digest: String,
        /// Why.
        source: Box<AddLayerError>,
    },
    /// Whether a layer is there cannot be told.
    #[error("cannot look for layer {digest} in the store")]
    Look {
        /// Its digest.
        digest: String,
        /// Why.
        source: std::io::Error,
    },
    /// Manifest or config cannot be written.
    #[error("cannot store the manifest or config of the image")]
    Blob(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The image cannot be registered.
    #[error("cannot register the image")]
    Register(#[source] Box<gaufre_store::ImageError>),
}

impl Failure for AcquireError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unpack { source, .. } => {
                source.hint().or_else(|| broken_off(&**source)).map(ToOwned::to_owned)
            }
            _ => None,
        }
    }
}

/// What helps where a registry did not send a layer to its end. The store knows of readers only, which fail by I/O
/// errors.
fn broken_off(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(LayerError::Interrupted { .. } | LayerError::Truncated { .. }) = error.downcast_ref() {
            return Some("pull it again; if the registry is only slow, give it time with --registry-timeout");
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// Fetches and unpacks the layers that are missing, then registers the image under `names`. All of it or nothing.
pub(crate) fn acquire(
    store: &Store,
    source: &dyn LayerSource,
    image: &Image,
    names: &[String],
    origin: Origin,
    progress: &dyn PullProgress,
) -> Result<Digest, AcquireError> {
    let lease = store.lease().map_err(AcquireError::Lease)?;
    let size_bytes = fetch_layers(store, &lease, source, image, progress)?;
    let blob = |error: Box<dyn std::error::Error + Send + Sync>| AcquireError::Blob(error);
    store.put_blob(&image.manifest_digest, &image.manifest_bytes).map_err(|error| blob(error.into()))?;
    store.put_blob(image.id(), &image.config_bytes).map_err(|error| blob(error.into()))?;
    let platform = image.platform();
    let record = ImageRecord {
        id: image.id().clone(),
        manifest_digest: image.manifest_digest.clone(),
        layers: image.layers().map(|layer| layer.diff_id).collect(),
        index_digest: image.index_digest.clone(),
        size_bytes,
        created: image.config.created().clone(),
        architecture: platform.architecture,
        os: platform.os,
    };
    store.images().insert(&record, names, origin).map_err(|error| AcquireError::Register(Box::new(error)))?;
    Ok(record.id)
}

/// Several threads take layers from one list until it is empty or one of them fails. Returns what the layers take
/// unpacked, in bytes.
fn fetch_layers(
    store: &Store,
    lease: &Lease,
    source: &dyn LayerSource,
    image: &Image,
    progress: &dyn PullProgress,
) -> Result<u64, AcquireError> {
    let mut seen = BTreeSet::new();
    let mut layers: Vec<Layer> =
        image.layers().filter(|layer| seen.insert(layer.diff_id.digest().to_owned())).collect();
    // The largest last in the list, so that it is taken first: it decides how long all take.
    layers.sort_by_key(|layer| layer.descriptor.size());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = layers.len().min(LAYERS_AT_ONCE).min(processors);
    let left = Mutex::new(layers);
    let failure = Mutex::new(None);
    let size_bytes = AtomicU64::new(0);
    let next = || {
        let failed = failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if failed { None } else { left.lock().unwrap_or_else(PoisonError::into_inner).pop() }
    };
    let work = || {
        while let Some(layer) = next() {
            match fetch_layer(store, lease, source, image, &layer, progress) {
                Ok(info) => drop(size_bytes.fetch_add(info.size_bytes, Ordering::Relaxed)),
                Err(error) => {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(size_bytes.into_inner()),
    }
}

fn fetch_layer(
    store: &Store,
    lease: &Lease,
    source: &dyn LayerSource,
    image: &Image,
    layer: &Layer,
    progress: &dyn PullProgress,
) -> Result<LayerInfo, AcquireError> {
    let digest = || layer.descriptor.digest().to_string();
    let watcher: Arc<dyn crate::progress::LayerProgress> =
        Arc::from(progress.layer(&digest(), layer.descriptor.size()));
    let unpack = |tar: Box<dyn Read + Send>| {
        store
            .add_layer(lease, &layer.diff_id, tar, &LayerLimits::for_compressed(layer.descriptor.size()))
            .map(|outcome| outcome.info().clone())
            .map_err(|source| AcquireError::Unpack { digest: digest(), source: Box::new(source) })
    };
    if store.has_layer(&layer.diff_id).map_err(|source| AcquireError::Look { digest: digest(), source })? {
        watcher.exists();
        // Nothing of a layer that is there is read, and the lease keeps it there.
        return unpack(Box::new(std::io::empty()));
    }
    let compressed = source
        .open_layer(image, &layer.descriptor, Arc::new(Watched(Arc::clone(&watcher))))
        .map_err(|error| AcquireError::Fetch(Box::new(error)))?;
    let tar = decompress_ahead(compressed)
        .map_err(|source| AcquireError::Decompress { digest: digest(), source: Box::new(source) })?;
    let info = unpack(tar)?;
    watcher.done();
    Ok(info)
}
