//! The record of a layer: what was unpacked, so that a check can tell whether it is still there.
//!
//! A line for each step, in the order of the tar stream; a later line for the same path replaces the earlier.
//! Content has an XXH3 checksum, which finds damage at the cost of 3 to 6 per cent of the unpacking time; that the
//! content was right to begin with is what the diff ID proved (docs/decisions/020-layer-records.md).

use std::io::{self, BufRead, Write};

use xxhash_rust::xxh3::Xxh3;

use gaufre_lazy::layer::{Piece, Time};

/// What is recorded of a file's inode besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    /// Checksum of the extended attributes, if there are any.
    pub(crate) xattrs: Option<u64>,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Directory {
        inode: Inode,
        opaque: bool,
    },
    Regular {
        inode: Inode,
        size_bytes: u64,
        checksum: u64,
        pieces: Option<Vec<Piece>>,
    },
    Symlink {
        inode: Inode,
        target: Vec<u8>,
    },
    Character {
        inode: Inode,
        major: u32,
        minor: u32,
    },
    Block {
        inode: Inode,
        major: u32,
        minor: u32,
    },
    Fifo {
        inode: Inode,
    },
    HardLink {
        target: Vec<u8>,
    },
    Whiteout,
    /// The path and all below it was replaced.
    Removed,
}

/// Writes a record as unpacking goes on.
#[derive(Debug)]
pub(crate) struct Writer<W: Write> {
    out: W,
    hash: XxhDebug,
    lines: u64,
}

struct XxhDebug(Xxh3);

impl std::fmt::Debug for XxhDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Xxh3")
    }
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, hash: XxhDebug(Xxh3::new()), lines: 0 }
    }

    pub(crate) fn write(&mut self, path: &[u8], step: &Step) -> io::Result<()> {
        let line = format!("{} {}\n", fields(step), escape(path));
        self.hash.0.update(line.as_bytes());
        self.lines += 1;
        self.out.write_all(line.as_bytes())
    }

    /// Writes the last line, without which a record counts as cut off.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        writeln!(self.out, "end {} {:016x}", self.lines, self.hash.0.digest())?;
        self.out.flush()
    }
}

/// Reads a record back.
///
/// # Errors
/// `InvalidData` if it is damaged or cut off.
pub(crate) fn read(mut from: impl BufRead, mut each: impl FnMut(Vec<u8>, Step)) -> io::Result<()> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the layer's record is damaged");
    let (mut hash, mut lines, mut line) = (Xxh3::new(), 0_u64, Vec::new());
    loop {
        line.clear();
        if from.read_until(b'\n', &mut line)? == 0 {
            return Err(damaged());
        }
        if line.starts_with(b"end ") {
            let end = format!("end {lines} {:016x}\n", hash.digest());
            return if line == end.as_bytes() { Ok(()) } else { Err(damaged()) };
        }
        hash.update(&line);
        lines += 1;
        let text = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
        let (path, step) = text.and_then(parse).ok_or_else(damaged)?;
        each(path, step);
    }
}

fn fields(step: &Step) -> String {
    match step {
        Step::Directory { inode, opaque } => {
            format!("{} {}", if *opaque { "o" } else { "d" }, inode_fields(inode))
        }
        Step::Regular { inode, size_bytes, checksum, pieces: None } => {
            format!("f {} {size_bytes} {checksum:016x}", inode_fields(inode))
        }
        Step::Regular { inode, size_bytes, checksum, pieces: Some(pieces) } => {
            let pieces: Vec<String> =
                pieces.iter().map(|piece| format!("{}+{}", piece.offset_bytes, piece.len_bytes)).collect();
            format!("s {} {size_bytes} {checksum:016x} ={}", inode_fields(inode), pieces.join(","))
        }
        Step::Symlink { inode, target } => format!("l {} {}", inode_fields(inode), escape(target)),
        Step::Character { inode, major, minor } => format!("c {} {major} {minor}", inode_fields(inode)),
        Step::Block { inode, major, minor } => format!("b {} {major} {minor}", inode_fields(inode)),
        Step::Fifo { inode } => format!("p {}", inode_fields(inode)),
        Step::HardLink { target } => format!("h {}", escape(target)),
        Step::Whiteout => "w".into(),
        Step::Removed => "-".into(),
    }
}

fn inode_fields(inode: &Inode) -> String {
    let Inode { mode, uid, gid, mtime, xattrs } = inode;
    let xattrs = xattrs.map_or_else(|| "-".into(), |sum| format!("{sum:016x}"));
    format!("{mode:o} {uid} {gid} {}.{} {xattrs}", mtime.seconds, mtime.nanoseconds)
}

fn parse(line: &str) -> Option<(Vec<u8>, Step)> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let step = match kind {
        "d" | "o" => Step::Directory { inode: inode(&mut words)?, opaque: kind == "o" },
        "f" | "s" => {
            let inode = inode(&mut words)?;
            let size_bytes = words.next()?.parse().ok()?;
            let checksum = u64::from_str_radix(words.next()?, 16).ok()?;
            let pieces = if kind == "s" { Some(pieces(words.next()?)?) } else { None };
            Step::Regular { inode, size_bytes, checksum, pieces }
        }
        "l" => Step::Symlink { inode: inode(&mut words)?, target: unescape(words.next()?)? },
        "c" | "b" => {
            let inode = inode(&mut words)?;
            let (major, minor) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            if kind == "c" {
                Step::Character { inode, major, minor }
            } else {
                Step::Block { inode, major, minor }
            }
        }
        "p" => Step::Fifo { inode: inode(&mut words)? },
        "h" => Step::HardLink { target: unescape(words.next()?)? },
        "w" => Step::Whiteout,
        "-" => Step::Removed,
        _ => return None,
    };
    let path = unescape(words.next()?)?;
    words.next().is_none().then_some((path, step))
}

fn inode<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Inode> {
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let (uid, gid) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (seconds, nanoseconds) = words.next()?.split_once('.')?;
    let mtime = Time { seconds: seconds.parse().ok()?, nanoseconds: nanoseconds.parse().ok()? };
    let xattrs = match words.next()? {
        "-" => None,
        sum => Some(u64::from_str_radix(sum, 16).ok()?),
    };
    Some(Inode { mode, uid, gid, mtime, xattrs })
}

fn pieces(word: &str) -> Option<Vec<Piece>> {
    let list = word.strip_prefix('=')?;
    if list.is_empty() {
        return Some(Vec::new());
    }
    let piece = |text: &str| {
        let (offset, len) = text.split_once('+')?;
        Some(Piece { offset_bytes: offset.parse().ok()?, len_bytes: len.parse().ok()? })
    };
    list.split(',').map(piece).collect()
}

/// Printable ASCII stands for itself, but for `%`; the rest is `%` and two digits. The root is `/`.
fn escape(path: &[u8]) -> String {
    if path.is_empty() {
        return "/".into();
    }
    if path == b"/" {
        return "%2f".into();
    }
    let mut text = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text
}

fn unescape(word: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    if rest == b"/" {
        return Some(bytes);
    }
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}
