//! Unpacking a layer: from a hostile tar stream to a directory that overlayfs takes as a lower layer.
//!
//! Everything is done through descriptors of directories that the kernel resolved within the layer's root
//! (openat2(2), `RESOLVE_IN_ROOT`), so no name and no link of the archive leads out of it. Directories get their
//! owner, mode, attributes and time last: until then they are writable and pass on nothing to what is made in them.

mod attributes;
mod directories;
mod entry;
mod parents;
mod regular;

use std::fs::File;
use std::io::{BufRead, BufWriter};
use std::os::fd::OwnedFd;

use gaufre_lazy::layer::{LayerError, LayerLimits, Reader};

pub(crate) use attributes::checksum as xattr_checksum;

use crate::record::{Step, Writer};
use directories::Directories;
use parents::Parents;

/// What became of a layer's stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// Data of regular files, holes not counted.
    pub(crate) size_bytes: u64,
    /// Files, directories and links.
    pub(crate) files: u64,
    /// Whether the archive says what the root itself is like.
    pub(crate) names_root: bool,
    /// Whether the root hides everything of the layers below.
    pub(crate) opaque_root: bool,
}

/// Unpacks `tar` into the empty directory `root` and writes the record. Reads the stream to its end.
pub(crate) fn unpack(
    tar: impl BufRead,
    root: OwnedFd,
    record: File,
    limits: &LayerLimits,
) -> Result<Unpacked, LayerError> {
    let mut reader = Reader::new(tar);
    let mut unpacker = Unpacker {
        parents: Parents::new(root).map_err(|error| LayerError::io("open", b"/", error))?,
        directories: Directories::default(),
        record: Writer::new(BufWriter::with_capacity(1 << 16, record)),
        limits,
        done: Unpacked::default(),
        promised_bytes: 0,
        owner: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
    };
    unpacker.directories.make_root();
    while let Some(entry) = reader.next_entry()? {
        unpacker.entry(entry, &mut reader)?;
    }
    drain(reader.into_stream())?;
    unpacker.finish()
}

/// An unpacking under way.
struct Unpacker<'a> {
    parents: Parents,
    directories: Directories,
    record: Writer<BufWriter<File>>,
    limits: &'a LayerLimits,
    done: Unpacked,
    /// Sizes of all files so far, holes included.
    promised_bytes: u64,
    /// Who owns what this process makes.
    owner: (u32, u32),
}

impl Unpacker<'_> {
    /// Counts one more inode or link against the limit.
    fn count(&mut self) -> Result<(), LayerError> {
        self.done.files += 1;
        if self.done.files > self.limits.entries {
            return Err(LayerError::Limit { what: "files", limit: self.limits.entries });
        }
        Ok(())
    }

    fn note(&mut self, path: &[u8], step: &Step) -> Result<(), LayerError> {
        self.record.write(path, step).map_err(|error| LayerError::io("record", path, error))
    }

    fn finish(mut self) -> Result<Unpacked, LayerError> {
        self.finish_directories()?;
        self.record.finish().map_err(|error| LayerError::io("record", b"/", error))?;
        Ok(self.done)
    }
}

/// Reads what stands behind the archive's end: it is part of the stream whose digest is checked.
fn drain(mut stream: impl BufRead) -> Result<(), LayerError> {
    loop {
        match stream.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                let len = bytes.len();
                stream.consume(len);
            }
            Err(source) => return Err(LayerError::io("read", b"/", source)),
        }
    }
}
