//! The index of a layer: an EROFS image of metadata alone, whose files lie in the layer's tar.
//!
//! The image has blocks of 512 bytes, as a tar has, and one device beside itself: the tar. The data of a file that is in
//! one piece there is referred to by one chunk. `mkfs.erofs --tar=i --aufs` makes the like.
//!
//! ```text
//! superblock, device slot | copied chunks | shared xattrs | inodes | blocks of directories and links
//! ```
//!
//! Copied chunks are the edges of sparse files that no block of the tar is like ([`sparse`]). Everything else waits until
//! the end of the tar is seen, as a later entry may replace an earlier one.

mod acl;
mod attributes;
mod directories;
mod entry;
mod image;
mod output;
mod plan;
mod resolve;
mod sparse;
mod tree;
mod xattrs;

use std::io::{self, BufRead, Seek, Write};

use crate::layer::{Bounded, DirectoryBudget, LayerError, LayerLimits, OPAQUE, ORIGIN, Reader};
use output::Output;
use plan::{Marks, Plan};
use tree::{Directory, Tree};
use xattrs::Table;

/// What was indexed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Indexed {
    /// Data of regular files in bytes, holes not counted.
    pub size_bytes: u64,
    /// Files, directories and links, those that later entries replaced included.
    pub files: u64,
    /// Whether the archive says what the root itself is like.
    pub names_root: bool,
    /// Whether the root hides everything of the layers below.
    pub opaque_root: bool,
    /// Length of the tar stream, all of what stands behind the archive's end included.
    pub tar_bytes: u64,
    /// Length of the index.
    pub index_bytes: u64,
}

/// A layer that cannot be indexed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// It is refused; the unpacker would refuse it too.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The index itself failed.
    #[error("the index of the layer cannot be written")]
    Write(#[source] io::Error),
}

/// Reads a layer's decompressed tar stream to its end and writes its index to `out`, which is at its beginning and empty.
///
/// The same stream always gives the same bytes. The index holds what the store's unpacker would make of the layer: names
/// are resolved within it, later entries replace earlier ones, `.wh.` files become whiteouts and marks of overlayfs, and
/// attributes that could steer the host are dropped. Files that are only implied belong to root, with mode 0755 and the
/// time 0; whiteouts have no permissions.
///
/// Memory: at most 320 bytes for each entry, beside its name, link target, extended attributes and the pieces of sparse
/// files; 3 GiB in all, then the layer is refused. An attribute longer than 65535 bytes, which EROFS cannot hold, is
/// refused, and so is a layer beyond 2 TiB.
///
/// # Errors
/// The layer is refused or the stream fails ([`IndexError::Layer`]), or `out` fails. What is in `out` is then no index.
pub fn write_index(
    tar: impl BufRead,
    out: impl Write + Seek,
    limits: &LayerLimits,
) -> Result<Indexed, IndexError> {
    read_and_write(tar, out, limits).map_err(|error| match error {
        IndexError::Layer(error) => limits.said_of(error).into(),
        error => error,
    })
}

fn read_and_write(
    tar: impl BufRead,
    out: impl Write + Seek,
    limits: &LayerLimits,
) -> Result<Indexed, IndexError> {
    let mut reader = Reader::new(Bounded::new(tar, limits.stream_bytes()));
    let mut out = Output::new(out)?;
    let mut builder = Builder {
        tree: Tree::new(),
        xattrs: Table::default(),
        limits,
        indexed: Indexed::default(),
        promised_bytes: 0,
        budget: DirectoryBudget::default(),
    };
    while let Some(entry) = reader.next_entry().map_err(LayerError::from)? {
        builder.entry(entry, &mut reader, &mut out)?;
    }
    builder.finish_directories()?;
    let tar_bytes = drain(reader.into_stream())?;
    let Builder { tree, mut xattrs, indexed, .. } = builder;
    let marks = Marks {
        opaque: xattrs.number(&(OPAQUE.into(), b"y".to_vec())),
        origin: xattrs.number(&(ORIGIN.into(), Vec::new())),
    };
    let plan = Plan::new(&tree, &xattrs, marks)?;
    let index_bytes = image::write(&tree, &xattrs, &plan, tar_bytes, out)?;
    Ok(Indexed { tar_bytes, index_bytes, ..indexed })
}

/// An index under way.
struct Builder<'a> {
    tree: Tree,
    xattrs: Table,
    limits: &'a LayerLimits,
    indexed: Indexed,
    /// Sizes of all files so far, holes included.
    promised_bytes: u64,
    budget: DirectoryBudget,
}

impl Builder<'_> {
    /// Counts one more inode or link against the limit, as the unpacker does.
    fn count(&mut self) -> Result<(), LayerError> {
        self.indexed.files += 1;
        if self.indexed.files > self.limits.entries {
            return Err(LayerError::Limit { what: "files", limit: self.limits.entries });
        }
        Ok(())
    }
}

/// The names of a directory in the order that they are kept in: by their bytes, `.` and `..` among them.
fn directories_names(directory: &Directory) -> impl Iterator<Item = &[u8]> {
    let mut names = directory.children.keys().map(|name| &**name).peekable();
    let mut own = [&b"."[..], b".."].into_iter().peekable();
    std::iter::from_fn(move || match (own.peek(), names.peek()) {
        (Some(dots), Some(name)) if name < dots => names.next(),
        (Some(_), _) => own.next(),
        (None, _) => names.next(),
    })
}

/// Reads what stands behind the archive's end; the length of all of the stream.
fn drain(mut stream: Bounded<impl BufRead>) -> Result<u64, LayerError> {
    loop {
        match stream.fill_buf() {
            Ok([]) => return Ok(stream.read_bytes()),
            Ok(bytes) => {
                let len = bytes.len();
                stream.consume(len);
            }
            Err(source) => return Err(LayerError::io("read", b"/", source)),
        }
    }
}
