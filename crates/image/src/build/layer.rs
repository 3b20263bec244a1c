//! The layer of a built image: a tar in a fixed order with fixed times.

use std::collections::BTreeSet;
use std::io::{self, Write};

use tar::{EntryType, Header};

use super::{BuildError, Content, Entry};
use crate::decompress::Compression;

/// Writes the entries as given, each after its missing parents.
pub(super) fn tar(entries: &[Entry]) -> Result<Vec<u8>, BuildError> {
    let mut tar = tar::Builder::new(Vec::new());
    let given: BTreeSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let mut made = BTreeSet::new();
    for entry in entries {
        let failed = |source| BuildError::Entry { path: entry.path.clone(), source };
        for (at, _) in entry.path.match_indices('/') {
            let parent = &entry.path[..at];
            if !given.contains(parent) && made.insert(parent) {
                append(&mut tar, parent, 0o755, EntryType::Directory, &[]).map_err(failed)?;
            }
        }
        match &entry.content {
            Content::Bytes(bytes) => append(&mut tar, &entry.path, entry.mode, EntryType::Regular, bytes),
            Content::HostFile(path) => {
                let bytes =
                    std::fs::read(path).map_err(|source| BuildError::Read { path: path.clone(), source })?;
                append(&mut tar, &entry.path, entry.mode, EntryType::Regular, &bytes)
            }
            Content::Directory => append(&mut tar, &entry.path, entry.mode, EntryType::Directory, &[]),
            Content::Symlink(target) => {
                let mut header = header(entry.mode, EntryType::Symlink, 0);
                tar.append_link(&mut header, &entry.path, target)
            }
        }
        .map_err(failed)?;
    }
    tar.into_inner().map_err(BuildError::Compress)
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    kind: EntryType,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = header(mode, kind, bytes.len() as u64);
    tar.append_data(&mut header, path, bytes)
}

fn header(mode: u32, kind: EntryType, len_bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_entry_type(kind);
    header.set_size(len_bytes);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Compresses for speed: the image is made and unpacked on the same machine.
pub(super) fn compress(tar: Vec<u8>, compression: Compression) -> Result<Vec<u8>, BuildError> {
    match compression {
        Compression::Plain => Ok(tar),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&tar).and_then(|()| encoder.finish()).map_err(BuildError::Compress)
        }
        Compression::Zstd => zstd::encode_all(tar.as_slice(), 1).map_err(BuildError::Compress),
    }
}
