//! Regular files: their data goes from the stream's own buffers to the kernel.

use std::ffi::CString;
use std::io::BufRead;
use std::os::fd::OwnedFd;

use gaufre_lazy::layer::{Entry, Holes, LayerError, Reader, allowed};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use xxhash_rust::xxh3::Xxh3;

use super::directories::times;
use super::parents::Parent;
use super::{Unpacker, attributes};
use crate::record::{Inode, Step};

impl Unpacker<'_> {
    /// Makes a regular file that is not there yet and fills it.
    pub(super) fn regular(
        &mut self,
        parent: &Parent,
        name: &CString,
        path: &[u8],
        entry: Entry,
        (size_bytes, holes): (u64, Holes),
        data: &mut Reader<impl BufRead>,
    ) -> Result<(), LayerError> {
        // Before anything is written. The holes of a sparse file are not in the stream.
        if matches!(holes, Holes::None) && size_bytes > self.limits.stream_bytes() {
            return Err(self.limits.too_long());
        }
        self.promised_bytes = self.promised_bytes.saturating_add(size_bytes);
        if self.promised_bytes > self.limits.bytes {
            return Err(LayerError::Limit { what: "bytes", limit: self.limits.bytes });
        }
        let file = self.create(parent, name, path)?;
        let (checksum, pieces) = match holes {
            Holes::None => (self.fill(&file, path, data)?, None),
            Holes::Between(pieces) => {
                rustix::fs::ftruncate(&file, size_bytes)
                    .map_err(|error| LayerError::io("set the size of", path, error))?;
                let mut hash = Xxh3::new();
                for piece in &pieces {
                    self.write(&file, path, piece.offset_bytes, piece.len_bytes, data, &mut hash)?;
                }
                (hash.digest(), Some(pieces))
            }
        };
        let inode = self.finish_regular(&file, path, entry)?;
        self.note(path, &Step::Regular { inode, size_bytes, checksum, pieces })
    }

    fn create(&mut self, parent: &Parent, name: &CString, path: &[u8]) -> Result<OwnedFd, LayerError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::openat(&*parent.fd, name, flags, mode) {
            Err(Errno::EXIST) => {
                self.make_room(parent, name, path)?;
                rustix::fs::openat(&*parent.fd, name, flags, mode)
            }
            other => other,
        }
        .map_err(|error| LayerError::io("create", path, error))
    }

    fn fill(
        &mut self,
        file: &OwnedFd,
        path: &[u8],
        data: &mut Reader<impl BufRead>,
    ) -> Result<u64, LayerError> {
        let mut hash = Xxh3::new();
        self.write(file, path, 0, u64::MAX, data, &mut hash)?;
        Ok(hash.digest())
    }

    /// Writes up to `len_bytes` of the entry's data at `offset_bytes`.
    fn write(
        &mut self,
        file: &OwnedFd,
        path: &[u8],
        mut offset_bytes: u64,
        mut len_bytes: u64,
        data: &mut Reader<impl BufRead>,
        hash: &mut Xxh3,
    ) -> Result<(), LayerError> {
        while len_bytes > 0 {
            let bytes = data.data()?;
            let most = usize::try_from(len_bytes).unwrap_or(usize::MAX).min(bytes.len());
            if most == 0 {
                break;
            }
            let written = match rustix::io::pwrite(file, &bytes[..most], offset_bytes) {
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(LayerError::io("write", path, error)),
            };
            hash.update(&bytes[..written]);
            data.consume(written);
            offset_bytes += written as u64;
            len_bytes -= written as u64;
            self.done.size_bytes += written as u64;
        }
        Ok(())
    }

    /// Owner first: changing it clears set-id bits and capabilities. Time last.
    fn finish_regular(&mut self, file: &OwnedFd, path: &[u8], entry: Entry) -> Result<Inode, LayerError> {
        let Entry { mode, uid, gid, mtime, xattrs, .. } = entry;
        if (uid, gid) != self.owner {
            rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(|error| LayerError::io("change the owner of", path, error))?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
            .map_err(|error| LayerError::io("change the mode of", path, error))?;
        let xattrs = attributes::set(file, path, allowed(xattrs))?;
        rustix::fs::futimens(file, &times(mtime))
            .map_err(|error| LayerError::io("set the time of", path, error))?;
        Ok(Inode { mode, uid, gid, mtime, xattrs: attributes::checksum(&xattrs) })
    }
}
