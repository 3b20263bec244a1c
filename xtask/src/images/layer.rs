//! Turns a tree, or the upper directory of an overlay, into a gzip-compressed layer with its digest and diff ID.

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// A blob of the layout, and for a layer the digest of its uncompressed form.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) digest: String,
    pub(super) size_bytes: u64,
    pub(super) diff_id: String,
}

/// The mark of a removed file and of a directory that hides what is below it (OCI image specification, layer.md).
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Packs `tree` into the folder `blobs`, named by its digest.
pub(super) fn pack(tree: &Path, blobs: &Path) -> Result<Blob> {
    let mut file = tempfile::NamedTempFile::new_in(blobs)?;
    let gzip = GzEncoder::new(Hashing::new(BufWriter::new(file.as_file_mut())), Compression::new(6));
    let mut tar = Builder::new(Hashing::new(gzip));
    let mut packer = Packer { tree, links: HashMap::new() };
    packer.directory(&mut tar, Path::new(""))?;
    let (diff_id, _, gzip) = tar.into_inner()?.finish();
    let (digest, size_bytes, mut out) = gzip.finish()?.finish();
    out.flush()?;
    drop(out);
    file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(blobs.join(&digest))?;
    Ok(Blob { digest: format!("sha256:{digest}"), size_bytes, diff_id: format!("sha256:{diff_id}") })
}

struct Packer<'a> {
    tree: &'a Path,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Packer<'_> {
    fn directory(&mut self, tar: &mut Builder<impl Write>, dir: &Path) -> Result<()> {
        let mut names: Vec<_> = fs::read_dir(self.tree.join(dir))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        for name in names {
            let path = dir.join(name);
            self.entry(tar, &path).with_context(|| format!("{} could not be packed", path.display()))?;
        }
        Ok(())
    }

    fn entry(&mut self, tar: &mut Builder<impl Write>, path: &Path) -> Result<()> {
        let full = self.tree.join(path);
        let meta = full.symlink_metadata()?;
        let kind = meta.file_type();
        let mut header = header(&meta);
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            pax(tar, &full)?;
            tar.append_data(&mut header, path.join(""), io::empty())?;
            if xattr(&full, "trusted.overlay.opaque").is_some_and(|value| value == b"y") {
                header.set_entry_type(EntryType::Regular);
                tar.append_data(&mut header, path.join(OPAQUE), io::empty())?;
            }
            // A container gets a /dev of its own.
            return if path == Path::new("dev") { Ok(()) } else { self.directory(tar, path) };
        }
        if kind.is_char_device() && meta.rdev() == 0 {
            let name = path.file_name().context("a whiteout without a name")?.to_string_lossy().into_owned();
            header.set_entry_type(EntryType::Regular);
            return Ok(tar.append_data(
                &mut header,
                path.with_file_name(format!("{WHITEOUT}{name}")),
                io::empty(),
            )?);
        }
        if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            return Ok(tar.append_link(&mut header, path, fs::read_link(&full)?)?);
        }
        if !kind.is_file() {
            return Ok(());
        }
        if meta.nlink() > 1 {
            if let Some(first) = self.links.get(&(meta.dev(), meta.ino())) {
                header.set_entry_type(EntryType::Link);
                return Ok(tar.append_link(&mut header, path, first)?);
            }
            self.links.insert((meta.dev(), meta.ino()), path.to_owned());
        }
        header.set_size(meta.size());
        header.set_entry_type(EntryType::Regular);
        pax(tar, &full)?;
        Ok(tar.append_data(&mut header, path, File::open(&full)?)?)
    }
}

fn header(meta: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(meta.mode() & 0o7777);
    header.set_uid(meta.uid().into());
    header.set_gid(meta.gid().into());
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header.set_size(0);
    header
}

/// Writes the extended attributes that belong to the file, not to overlayfs, as a PAX header before it.
fn pax(tar: &mut Builder<impl Write>, full: &Path) -> Result<()> {
    let value = xattr(full, "security.capability");
    Ok(tar.append_pax_extensions(value.as_deref().map(|value| ("SCHILY.xattr.security.capability", value)))?)
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let len = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

/// A writer that hashes and counts what passes through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    len_bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), len_bytes: 0 }
    }

    fn finish(self) -> (String, u64, W) {
        (hex::encode(self.hash.finalize()), self.len_bytes, self.inner)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.hash.update(&buf[..written]);
        self.len_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn hard_links_and_symlinks_become_entries_and_the_digests_are_of_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, blobs) = (dir.path().join("tree"), dir.path().join("blobs"));
        fs::create_dir_all(tree.join("d")).unwrap();
        fs::create_dir(&blobs).unwrap();
        fs::write(tree.join("d/one"), "waffle").unwrap();
        fs::hard_link(tree.join("d/one"), tree.join("d/two")).unwrap();
        std::os::unix::fs::symlink("one", tree.join("d/zz")).unwrap();
        let blob = pack(&tree, &blobs).unwrap();

        let bytes = fs::read(blobs.join(blob.digest.trim_start_matches("sha256:"))).unwrap();
        assert_eq!(blob.size_bytes, bytes.len() as u64);
        assert_eq!(blob.digest, format!("sha256:{}", hex::encode(Sha256::digest(&bytes))));
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
        assert_eq!(blob.diff_id, format!("sha256:{}", hex::encode(Sha256::digest(&plain))));
        let entries: Vec<_> = tar::Archive::new(&plain[..])
            .entries()
            .unwrap()
            .map(|entry| entry.map(|e| (e.path().unwrap().into_owned(), e.header().entry_type())).unwrap())
            .collect();
        let kinds: Vec<_> = entries.iter().map(|(path, kind)| (path.to_str().unwrap(), *kind)).collect();
        use EntryType::{Directory, Link, Regular, Symlink};
        assert_eq!(kinds, [("d/", Directory), ("d/one", Regular), ("d/two", Link), ("d/zz", Symlink)]);
    }
}
