//! Keeping a stream in a file without a name, so that it can be read in any order and leaves nothing behind.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::ArchiveError;

/// An archive that is larger once decompressed is refused (bytes): a bomb should not need the whole disk to be seen.
const MAX_ARCHIVE_BYTES: u64 = 256 << 30;

/// Decompresses `source` into an unlinked temporary file.
pub(super) fn spool(archive: &str, source: impl Read + Send + 'static) -> Result<File, ArchiveError> {
    let decompressed = crate::decompress(source)
        .map_err(|source| ArchiveError::Decompress { archive: archive.to_owned(), source })?;
    let directory = directory();
    let failed = |source| {
        let directory = directory.display().to_string();
        ArchiveError::Spool { archive: archive.to_owned(), directory, source }
    };
    let mut file = tempfile::tempfile_in(&directory).map_err(failed)?;
    let copied = io::copy(&mut decompressed.take(MAX_ARCHIVE_BYTES + 1), &mut file).map_err(failed)?;
    if copied > MAX_ARCHIVE_BYTES {
        let (archive, name) = (archive.to_owned(), "its content".to_owned());
        return Err(ArchiveError::TooLarge { archive, name, limit_bytes: MAX_ARCHIVE_BYTES });
    }
    Ok(file)
}

/// `$TMPDIR`, else /var/tmp: /tmp is memory on many machines, and archives are large.
fn directory() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = || Some(PathBuf::from("/var/tmp")).filter(|path| path.is_dir());
    named.or_else(usual).unwrap_or_else(std::env::temp_dir)
}
