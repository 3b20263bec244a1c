//! What a pull tells whoever watches it.

/// Hears how a pull or load goes on. The engine prints nothing itself.
pub trait PullProgress: Send + Sync {
    /// Work on `what`, an image's name, begins.
    fn started(&self, what: &str);

    /// A layer of `total_bytes`, as transferred, begins.
    fn layer(&self, digest: &str, total_bytes: u64) -> Box<dyn LayerProgress>;

    /// Something that the user may want to know, in one line.
    fn message(&self, text: &str);
}

/// Hears how one layer goes on; from several threads.
pub trait LayerProgress: Send + Sync {
    /// So many bytes more have arrived.
    fn advance(&self, bytes: u64);

    /// The layer is in the store already: nothing is transferred.
    fn exists(&self);

    /// The layer is in the store.
    fn done(&self);

    /// The connection broke; the rest is asked for again.
    fn retrying(&self, reason: &str);
}

/// Nobody watches.
impl PullProgress for () {
    fn started(&self, _: &str) {}

    fn layer(&self, _: &str, _: u64) -> Box<dyn LayerProgress> {
        Box::new(())
    }

    fn message(&self, _: &str) {}
}

impl LayerProgress for () {
    fn advance(&self, _: u64) {}

    fn exists(&self) {}

    fn done(&self) {}

    fn retrying(&self, _: &str) {}
}

/// Hands what a source of layers tells on to whoever watches the pull.
pub(crate) struct Watched(pub(crate) std::sync::Arc<dyn LayerProgress>);

impl gaufre_image::Progress for Watched {
    fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    fn retrying(&self, reason: &str) {
        self.0.retrying(reason);
    }
}
