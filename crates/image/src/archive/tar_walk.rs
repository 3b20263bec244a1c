//! The headers of a tar file, one after the other, contents skipped.
//!
//! The tar crate reads long names and PAX records into memory whatever their size; in an archive that is not trusted
//! they have to be bounded. Formats: POSIX pax(1) and GNU's `L` and `K` entries.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use tar::{EntryType, Header, PaxExtensions};

const BLOCK_BYTES: u64 = 512;

/// Longer names and PAX records are refused (bytes).
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// An entry of a tar file.
pub(super) struct TarEntry {
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: EntryType,
    /// Where the content starts.
    pub(super) offset: u64,
    pub(super) len_bytes: u64,
}

/// What extension entries say about the next one.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    len_bytes: Option<u64>,
}

pub(super) struct TarWalk<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> TarWalk<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, position: 0 }
    }

    /// Whether not even a first header was found.
    pub(super) fn is_at_start(&self) -> bool {
        self.position == 0
    }

    /// The next entry; none at the end of the archive.
    pub(super) fn next(&mut self) -> io::Result<Option<TarEntry>> {
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let mut len_bytes = header.entry_size().map_err(|_| invalid("a size that is no number"))?;
            let (kind, offset) = (header.entry_type(), self.position);
            match kind {
                EntryType::GNULongName => extensions.name = Some(self.text(len_bytes)?),
                EntryType::GNULongLink => extensions.link = Some(self.text(len_bytes)?),
                EntryType::XHeader => extensions.read_pax(&self.bytes(len_bytes)?)?,
                EntryType::XGlobalHeader => {
                    self.bytes(len_bytes)?;
                }
                _ => {
                    len_bytes = extensions.len_bytes.unwrap_or(len_bytes);
                    let link = header.link_name_bytes().unwrap_or_default().into_owned();
                    self.skip(len_bytes)?;
                    return Ok(Some(TarEntry {
                        name: extensions.name.unwrap_or_else(|| header.path_bytes().into_owned()),
                        link: extensions.link.unwrap_or(link),
                        kind,
                        offset,
                        len_bytes,
                    }));
                }
            }
            self.skip(len_bytes)?;
        }
    }

    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; 512];
        match self.file.read_at(&mut block[..1], self.position)? {
            0 => return Ok(None),
            _ => self.file.read_exact_at(&mut block, self.position)?,
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own field as spaces.
        let sum: u32 = block[..148].iter().chain(&block[156..]).map(|byte| u32::from(*byte)).sum();
        let header = Header::from_byte_slice(&block);
        // The crate's own error would repeat the block, whatever is in it.
        if header.cksum().ok() != Some(sum + 8 * 32) {
            return Err(invalid("not a tar header"));
        }
        self.position += BLOCK_BYTES;
        Ok(Some(header.clone()))
    }

    fn skip(&mut self, len_bytes: u64) -> io::Result<()> {
        let padded = len_bytes.checked_next_multiple_of(BLOCK_BYTES);
        let next = padded.and_then(|padded| self.position.checked_add(padded));
        self.position = next.ok_or_else(|| invalid("a size beyond all files"))?;
        Ok(())
    }

    fn bytes(&self, len_bytes: u64) -> io::Result<Vec<u8>> {
        if len_bytes > MAX_EXTENSION_BYTES {
            return Err(invalid("a name or PAX record above the limit"));
        }
        let mut bytes = vec![0; usize::try_from(len_bytes).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes)
    }

    /// A long name, which ends with a zero byte.
    fn text(&self, len_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = self.bytes(len_bytes)?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(bytes)
    }
}

impl Extensions {
    fn read_pax(&mut self, records: &[u8]) -> io::Result<()> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|_| invalid("a PAX record that is none"))?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"size" => {
                    let size = record.value().ok().and_then(|text| text.parse().ok());
                    self.len_bytes = Some(size.ok_or_else(|| invalid("a PAX size that is no number"))?);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message.to_owned())
}
