//! The archive as a sequence of entries.

use std::io::{self, BufRead};

use super::header::{BLOCK_BYTES, GnuSparse, Header, sparse_pieces, text};
use super::pax::{Records, decimal};
use super::{Entry, Holes, Kind, TarError, TarFault, sparse};

/// Longest extension header: room for an xattr of the kernel's largest size (64 KiB) several times over.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// Longest sparse map, in pieces.
const MAX_PIECES: usize = 1 << 18;

/// Reads entries from a stream; between two entries the data of the first may be read.
#[derive(Debug)]
pub struct Reader<R> {
    stream: R,
    offset_bytes: u64,
    /// Of the current entry's data, and of the padding behind it.
    data_bytes: u64,
    padding_bytes: u64,
    global: Records,
}

/// Extension headers that wait for their entry.
#[derive(Default)]
struct Pending {
    pax: Option<Records>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: BufRead> Reader<R> {
    /// Reads the archive that `stream` gives.
    pub fn new(stream: R) -> Self {
        Self { stream, offset_bytes: 0, data_bytes: 0, padding_bytes: 0, global: Records::default() }
    }

    /// The next entry; what is left of the former one's data is passed over. `None` at the end of the archive:
    /// two zero blocks, or the end of the stream, of which some writers make do.
    ///
    /// # Errors
    /// The stream failed or is cut off, or a header is refused ([`TarFault`]).
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        self.skip_data()?;
        let mut pending = Pending::default();
        loop {
            let at = self.offset_bytes;
            let refused = |source| TarError::Refused { offset_bytes: at, source };
            let Some(block) = self.block()? else {
                return if pending.is_empty() { Ok(None) } else { Err(refused(TarFault::Dangling)) };
            };
            if block.iter().all(|&byte| byte == 0) {
                return match self.block()? {
                    _ if !pending.is_empty() => Err(refused(TarFault::Dangling)),
                    Some(next) if next.iter().any(|&byte| byte != 0) => Err(refused(TarFault::LoneZeroBlock)),
                    _ => Ok(None),
                };
            }
            let header = Header::parse(&block).map_err(refused)?;
            let size = header.size().map_err(refused)?;
            match header.kind() {
                b'x' if pending.pax.is_some() => return Err(refused(TarFault::Contradiction)),
                b'x' => {
                    let mut records = self.global.clone();
                    records.parse(&self.extension(size)?).map_err(refused)?;
                    pending.pax = Some(records);
                }
                b'g' => {
                    let data = self.extension(size)?;
                    self.global.parse_global(&data).map_err(refused)?;
                }
                b'L' if pending.long_name.is_none() => pending.long_name = Some(self.long_text(size)?),
                b'K' if pending.long_link.is_none() => pending.long_link = Some(self.long_text(size)?),
                b'L' | b'K' => return Err(refused(TarFault::Contradiction)),
                // A label of the whole archive.
                b'V' => self.expect_data(size).map_err(refused).and_then(|()| self.skip_data())?,
                _ => return self.entry(&header, size, pending, at).map(Some),
            }
        }
    }

    /// The next bytes of the current entry's data, in the stream's own buffer; empty at its end.
    ///
    /// # Errors
    /// The stream failed or is cut off.
    pub fn data(&mut self) -> Result<&[u8], TarError> {
        if self.data_bytes == 0 {
            return Ok(&[]);
        }
        let offset_bytes = self.offset_bytes;
        let most = usize::try_from(self.data_bytes).unwrap_or(usize::MAX);
        match self.stream.fill_buf() {
            Ok([]) => Err(TarError::Truncated { offset_bytes }),
            Ok(bytes) => Ok(&bytes[..bytes.len().min(most)]),
            Err(source) => Err(TarError::Read { offset_bytes, source }),
        }
    }

    /// Marks `len` bytes that [`Self::data`] gave as used.
    pub fn consume(&mut self, len: usize) {
        self.stream.consume(len);
        self.offset_bytes += len as u64;
        self.data_bytes = self.data_bytes.saturating_sub(len as u64);
    }

    /// Where in the stream the reader stands, in bytes: right after [`Self::next_entry`], where the entry's data begins.
    pub fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    /// The stream, to be told what comes next; reading from it would confuse this reader.
    pub(crate) fn stream_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The stream behind the archive: padding, or nothing.
    pub fn into_stream(self) -> R {
        self.stream
    }

    fn entry(
        &mut self,
        header: &Header<'_>,
        size: u64,
        pending: Pending,
        at: u64,
    ) -> Result<Entry, TarError> {
        let refused = |source| TarError::Refused { offset_bytes: at, source };
        let Pending { pax, long_name, long_link } = pending;
        let pax = pax.unwrap_or_else(|| self.global.clone());
        if (long_name.is_some() && (pax.path.is_some() || pax.sparse.name.is_some()))
            || (long_link.is_some() && pax.link.is_some())
        {
            return Err(refused(TarFault::Contradiction));
        }
        let path =
            (pax.sparse.name.clone()).or(pax.path.clone()).or(long_name).unwrap_or_else(|| header.path());
        let target = pax.link.clone().or(long_link).unwrap_or_else(|| header.link());
        let is_link = header.kind() == b'1';
        // A hard link's size in the plain header tells the length of the file linked to, not of data here.
        let stored = pax.size.unwrap_or(if is_link { 0 } else { size });
        self.expect_data(stored).map_err(refused)?;
        let kind = match header.kind() {
            b'0' | b'7' | 0 if path.ends_with(b"/") => Kind::Directory,
            b'0' | b'7' | 0 if pax.sparse.named => self.pax_sparse(&pax, at)?,
            b'0' | b'7' | 0 => Kind::Regular { size_bytes: stored, holes: Holes::None },
            b'S' => self.gnu_sparse(header, stored, at)?,
            b'1' => Kind::HardLink { target },
            b'2' => Kind::Symlink { target },
            b'3' | b'4' => {
                let (major, minor) = header.device().map_err(refused)?;
                if header.kind() == b'3' {
                    Kind::Character { major, minor }
                } else {
                    Kind::Block { major, minor }
                }
            }
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(refused(TarFault::Type(char::from(other)))),
        };
        if !matches!(kind, Kind::Regular { .. }) && self.data_bytes > 0 {
            return Err(refused(TarFault::UnexpectedData));
        }
        let id = |value: u64, what| u32::try_from(value).map_err(|_| refused(TarFault::Range(what)));
        Ok(Entry {
            path,
            kind,
            mode: header.mode().map_err(refused)?,
            uid: id(pax.uid.map_or_else(|| header.uid(), Ok).map_err(refused)?, "user")?,
            gid: id(pax.gid.map_or_else(|| header.gid(), Ok).map_err(refused)?, "group")?,
            mtime: pax.mtime.map_or_else(|| header.mtime(), Ok).map_err(refused)?,
            xattrs: pax.xattrs.into_iter().collect(),
        })
    }

    /// GNU's sparse formats in PAX: 1.0 has the map before the data, 0.x has it in the records.
    fn pax_sparse(&mut self, pax: &Records, at: u64) -> Result<Kind, TarError> {
        let refused = |source| TarError::Refused { offset_bytes: at, source };
        let size_bytes = pax.sparse.real_size.ok_or_else(|| refused(TarFault::Sparse))?;
        let pairs = match pax.sparse.version {
            (Some(1), Some(0)) => self.leading_map().map_err(|error| error.at(at))?,
            (None | Some(0), _) => sparse::pairs(&pax.sparse.map).map_err(refused)?,
            _ => return Err(refused(TarFault::Sparse)),
        };
        let pieces = sparse::pieces(&pairs, size_bytes, self.data_bytes).map_err(refused)?;
        Ok(Kind::Regular { size_bytes, holes: Holes::Between(pieces) })
    }

    /// The map of format 1.0: decimal numbers, one a line, filled up to a whole block.
    fn leading_map(&mut self) -> Result<Vec<(u64, u64)>, MapError> {
        let mut read_bytes = 0_u64;
        let count = self.map_line(&mut read_bytes)?;
        if count > MAX_PIECES as u64 {
            return Err(MapError::Fault);
        }
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((self.map_line(&mut read_bytes)?, self.map_line(&mut read_bytes)?));
        }
        let mut padding = read_bytes.next_multiple_of(BLOCK_BYTES as u64) - read_bytes;
        while padding > 0 {
            let len = self.data()?.len().min(usize::try_from(padding).unwrap_or(usize::MAX));
            if len == 0 {
                return Err(MapError::Fault);
            }
            self.consume(len);
            padding -= len as u64;
        }
        Ok(pairs)
    }

    fn map_line(&mut self, read_bytes: &mut u64) -> Result<u64, MapError> {
        let mut line = Vec::new();
        loop {
            let &byte = self.data()?.first().ok_or(MapError::Fault)?;
            self.consume(1);
            *read_bytes += 1;
            match byte {
                b'\n' => return decimal(&line, "sparse map").map_err(|_| MapError::Fault),
                _ if line.len() >= 20 => return Err(MapError::Fault),
                _ => line.push(byte),
            }
        }
    }

    /// GNU's old sparse format: the map in the header and in blocks behind it, before the data.
    fn gnu_sparse(&mut self, header: &Header<'_>, stored: u64, at: u64) -> Result<Kind, TarError> {
        let refused = |source| TarError::Refused { offset_bytes: at, source };
        let GnuSparse { pieces: mut pairs, mut more, size_bytes } = header.gnu_sparse().map_err(refused)?;
        while more {
            let block = self.block()?.ok_or(TarError::Truncated { offset_bytes: self.offset_bytes })?;
            pairs.extend(sparse_pieces(&block, 0, 21).map_err(refused)?);
            more = block[504] != 0;
            if pairs.len() > MAX_PIECES {
                return Err(refused(TarFault::Sparse));
            }
        }
        let pieces = sparse::pieces(&pairs, size_bytes, stored).map_err(refused)?;
        Ok(Kind::Regular { size_bytes, holes: Holes::Between(pieces) })
    }

    /// Sets up for `len` bytes of data.
    fn expect_data(&mut self, len: u64) -> Result<(), TarFault> {
        let padded = len.checked_next_multiple_of(BLOCK_BYTES as u64).ok_or(TarFault::Range("size"))?;
        self.data_bytes = len;
        self.padding_bytes = padded - len;
        Ok(())
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        self.data_bytes = self.data_bytes.saturating_add(self.padding_bytes);
        self.padding_bytes = 0;
        while self.data_bytes > 0 {
            let len = self.data()?.len();
            self.consume(len);
        }
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let offset_bytes = self.offset_bytes;
        let refused = |source| TarError::Refused { offset_bytes, source };
        if size > MAX_EXTENSION_BYTES {
            return Err(refused(TarFault::ExtensionTooLong { limit_bytes: MAX_EXTENSION_BYTES }));
        }
        self.expect_data(size).map_err(refused)?;
        let mut data = Vec::new();
        loop {
            let bytes = self.data()?;
            if bytes.is_empty() {
                break;
            }
            let len = bytes.len();
            data.extend_from_slice(bytes);
            self.consume(len);
        }
        self.skip_data()?;
        Ok(data)
    }

    fn long_text(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        Ok(text(&self.extension(size)?).to_vec())
    }

    /// The next block; `None` at the end of the stream.
    fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>, TarError> {
        let mut block = [0; BLOCK_BYTES];
        let mut have = 0;
        while have < BLOCK_BYTES {
            let bytes = match self.stream.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(TarError::Read { offset_bytes: self.offset_bytes, source }),
            };
            if bytes.is_empty() {
                break;
            }
            let len = bytes.len().min(BLOCK_BYTES - have);
            block[have..have + len].copy_from_slice(&bytes[..len]);
            self.stream.consume(len);
            self.offset_bytes += len as u64;
            have += len;
        }
        match have {
            0 => Ok(None),
            BLOCK_BYTES => Ok(Some(block)),
            _ => Err(TarError::Truncated { offset_bytes: self.offset_bytes }),
        }
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

/// A failure within a sparse map, before it is known where its header stands.
enum MapError {
    Fault,
    Tar(TarError),
}

impl From<TarError> for MapError {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

impl MapError {
    fn at(self, offset_bytes: u64) -> TarError {
        match self {
            Self::Fault => TarError::Refused { offset_bytes, source: TarFault::Sparse },
            Self::Tar(error) => error,
        }
    }
}
