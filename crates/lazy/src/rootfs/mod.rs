//! Ways to show a layer's files as a directory for overlayfs to stack: one trait, a way for every kernel.
//!
//! | mode | the layer's directory holds | needs |
//! |---|---|---|
//! | [`Indexed`] | `data` (the tar, complete) and `index.erofs` | EROFS on plain files (Linux 6.12), CAP_SYS_ADMIN |
//! | [`Unpacked`] | `fs` (the unpacked tree) | nothing |
//!
//! Which one can be used is asked of the kernel by trying it ([`Mode::probe`]), never inferred from a version.

mod indexed;
mod unpacked;

use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::str::FromStr;

pub use indexed::Indexed;
pub use unpacked::Unpacked;

/// A way to show layers.
pub trait Mode {
    /// What it is called.
    fn name(&self) -> Name;

    /// Whether it can be used for layers that are below the directory `store`, found out by doing it once with nothing.
    ///
    /// # Errors
    /// Why not.
    fn probe(&self, store: BorrowedFd<'_>) -> Result<(), LowerError>;

    /// The files of the layer in the directory `layer`: a directory, or a mount that is attached nowhere and goes when the
    /// descriptor is closed. Layers that hide others have the marks of overlayfs.
    ///
    /// # Errors
    /// Something is missing, or the kernel refuses it.
    fn lower(&self, layer: BorrowedFd<'_>) -> Result<OwnedFd, LowerError>;
}

/// The name of a mode, as users say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// [`Indexed`].
    Indexed,
    /// [`Unpacked`].
    Unpacked,
}

/// A layer whose files cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum LowerError {
    /// A file or directory of the layer.
    #[error("the layer's {file} cannot be used")]
    File {
        /// Its name in the layer's directory.
        file: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The mount.
    #[error(transparent)]
    Mount(#[from] crate::MountError),
}

impl Name {
    /// The mode itself.
    pub fn mode(self) -> &'static dyn Mode {
        match self {
            Self::Indexed => &Indexed,
            Self::Unpacked => &Unpacked,
        }
    }

    /// The first mode that works below the directory `store`; [`Unpacked`] always does.
    pub fn best(store: BorrowedFd<'_>) -> Self {
        match Indexed.probe(store) {
            Ok(()) => Self::Indexed,
            Err(_) => Self::Unpacked,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Indexed => "indexed",
            Self::Unpacked => "unpacked",
        })
    }
}

/// A name that no mode has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such mode of root filesystems; there are indexed and unpacked")]
pub struct UnknownMode;

impl FromStr for Name {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        [Self::Indexed, Self::Unpacked].into_iter().find(|name| name.to_string() == text).ok_or(UnknownMode)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;
    use crate::layer::LayerLimits;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [Name::Indexed, Name::Unpacked] {
            assert_eq!(name.to_string().parse(), Ok(name));
            assert_eq!(name.mode().name(), name);
        }
        assert_eq!("fuse".parse::<Name>(), Err(UnknownMode));
    }

    #[test]
    fn the_best_mode_works() {
        let dir = tempfile::tempdir().unwrap();
        let store = File::open(dir.path()).unwrap();
        Unpacked.probe(store.as_fd()).unwrap();
        assert!(Indexed.lower(store.as_fd()).is_err() && Unpacked.lower(store.as_fd()).is_err());
        let best = Name::best(store.as_fd());
        fs::write(dir.path().join("data"), [0; 1024]).unwrap();
        let index = File::create(dir.path().join("index.erofs")).unwrap();
        crate::write_index(&[0; 1024][..], index, &LayerLimits::default()).unwrap();
        fs::create_dir(dir.path().join("fs")).unwrap();
        let lower = best.mode().lower(store.as_fd()).unwrap();
        let shown = fs::read_dir(format!("/proc/self/fd/{}/.", lower.as_raw_fd())).unwrap();
        assert_eq!(shown.count(), 0, "{best}");
    }
}
