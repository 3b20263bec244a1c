//! The mode for complete layers: the index, mounted over the tar.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode as Permissions, OFlags};

use super::{LowerError, Mode, Name};
use crate::layer::{LayerError, LayerLimits};
use crate::{IndexError, mount_index, write_index};

/// `index.erofs` over `data`.
#[derive(Debug, Clone, Copy)]
pub struct Indexed;

const DATA: &str = "data";
const INDEX: &str = "index.erofs";

impl Mode for Indexed {
    fn name(&self) -> Name {
        Name::Indexed
    }

    /// Mounts the index of an empty layer, both in files without a name.
    fn probe(&self, store: BorrowedFd<'_>) -> Result<(), LowerError> {
        let file = |what| {
            let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
            rustix::fs::openat(store, ".", flags, Permissions::RUSR | Permissions::WUSR)
                .map(File::from)
                .map_err(|error| LowerError::File { file: what, source: error.into() })
        };
        const EMPTY: [u8; 1024] = [0; 1024];
        let (data, index) = (file(DATA)?, file(INDEX)?);
        io::Write::write_all(&mut &data, &EMPTY).map_err(|source| LowerError::File { file: DATA, source })?;
        write_index(&EMPTY[..], &index, &LayerLimits::default()).map_err(|error| {
            let source = match error {
                IndexError::Write(source) | IndexError::Layer(LayerError::Io { source, .. }) => source,
                IndexError::Layer(error) => io::Error::other(error),
            };
            LowerError::File { file: INDEX, source }
        })?;
        mount_index(&index, &data)?;
        Ok(())
    }

    fn lower(&self, layer: BorrowedFd<'_>) -> Result<OwnedFd, LowerError> {
        let open = |file| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(layer, file, flags, Permissions::empty())
                .map_err(|error| LowerError::File { file, source: error.into() })
        };
        Ok(mount_index(open(INDEX)?, open(DATA)?)?)
    }
}
