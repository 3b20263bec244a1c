//! Where each entry of a tar file lies, so that nothing has to be extracted.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;

use tar::EntryType;

use super::ArchiveError;
use super::section::Section;
use super::tar_walk::TarWalk;

/// An archive with more entries is refused; real ones have a few for each layer.
const MAX_ENTRIES: usize = 100_000;

/// So many links may follow one another.
const MAX_LINKS: usize = 8;

/// The entries of a plain tar file by name.
#[derive(Debug)]
pub(super) struct TarIndex {
    file: Arc<File>,
    len_bytes: u64,
    entries: HashMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    File {
        offset: u64,
        len_bytes: u64,
    },
    /// A normalised path within the archive.
    Link(String),
}

impl TarIndex {
    /// Lists a tar file, skipping over contents.
    pub(super) fn new(archive: &str, mut file: File) -> Result<Self, ArchiveError> {
        let read = |source| ArchiveError::Read { archive: archive.to_owned(), source };
        let len_bytes = file.seek(SeekFrom::End(0)).map_err(read)?;
        let mut entries = HashMap::new();
        let mut walk = TarWalk::new(&file);
        let mut count = 0;
        loop {
            let entry = match walk.next() {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) if walk.is_at_start() => return Err(not_tar(archive, error)),
                Err(error) => return Err(read(error)),
            };
            count += 1;
            if count > MAX_ENTRIES {
                return Err(ArchiveError::TooManyEntries { archive: archive.to_owned(), limit: MAX_ENTRIES });
            }
            let escape = |name: &str| {
                let name = name.chars().take(200).collect();
                ArchiveError::Escape { archive: archive.to_owned(), name }
            };
            let name = String::from_utf8_lossy(&entry.name);
            let path = normalised("", &name).ok_or_else(|| escape(&name))?;
            let target = String::from_utf8_lossy(&entry.link);
            let found = match entry.kind {
                EntryType::Regular | EntryType::Continuous => {
                    Entry::File { offset: entry.offset, len_bytes: entry.len_bytes }
                }
                EntryType::Symlink => {
                    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    Entry::Link(normalised(parent, &target).ok_or_else(|| escape(&target))?)
                }
                EntryType::Link => Entry::Link(normalised("", &target).ok_or_else(|| escape(&target))?),
                // Directories say nothing, and no image refers to anything else.
                _ => continue,
            };
            entries.insert(path, found);
        }
        Ok(Self { file: Arc::new(file), len_bytes, entries })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The content of an entry, through links within the archive.
    pub(super) fn section(&self, archive: &str, name: &str) -> Result<Section, ArchiveError> {
        let escape = || ArchiveError::Escape { archive: archive.to_owned(), name: name.to_owned() };
        let mut path = normalised("", name).ok_or_else(escape)?;
        for _ in 0..=MAX_LINKS {
            match self.entries.get(&path) {
                Some(Entry::Link(target)) => path.clone_from(target),
                Some(Entry::File { offset, len_bytes }) => {
                    let end = offset.checked_add(*len_bytes);
                    if end.is_none_or(|end| end > self.len_bytes) {
                        let (archive, name) = (archive.to_owned(), name.to_owned());
                        return Err(ArchiveError::Truncated { archive, name });
                    }
                    return Ok(Section::new(Arc::clone(&self.file), *offset, *len_bytes));
                }
                None => {
                    return Err(ArchiveError::Missing { archive: archive.to_owned(), name: name.to_owned() });
                }
            }
        }
        Err(ArchiveError::LinkLoop { archive: archive.to_owned(), name: name.to_owned() })
    }
}

/// A file whose first block is no header, unless it could not even be read.
fn not_tar(archive: &str, source: io::Error) -> ArchiveError {
    let archive = archive.to_owned();
    match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ArchiveError::NotTar { archive },
        _ => ArchiveError::Read { archive, source },
    }
}

/// `path` below `parent` without `.`, `..` and empty parts; none if it is absolute or leads out.
fn normalised(parent: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in parent.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn a_path_stays_within_the_archive_or_is_refused() {
        assert_eq!(normalised("", "./a//b/").as_deref(), Some("a/b"));
        assert_eq!(normalised("a", "../b").as_deref(), Some("b"));
        assert_eq!(normalised("a", "../../b"), None);
        assert_eq!(normalised("a/b", "/etc/passwd"), None);
    }
}
