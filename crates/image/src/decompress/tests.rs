use std::io::{self, Cursor, Read, Write};

use super::{Compression, DecompressError, decompress, decompress_ahead};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn unpacked(compressed: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    decompress(Cursor::new(compressed)).map_err(io::Error::other)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn several_members_and_frames_are_one_stream() {
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    assert_eq!(unpacked([gzip(b"one "), gzip(b"two")].concat()).unwrap(), b"one two");
    assert_eq!(unpacked([zstd(b"one "), zstd(b"two")].concat()).unwrap(), b"one two");
    assert_eq!(unpacked([skippable.clone(), zstd(b"x"), skippable.clone()].concat()).unwrap(), b"x");
    assert_eq!(unpacked(b"plain".to_vec()).unwrap(), b"plain");
    assert_eq!(unpacked(Vec::new()).unwrap(), b"");
}

#[test]
fn a_stream_that_breaks_off_or_goes_on_is_an_error() {
    for whole in [gzip(&[7; 5000]), zstd(&[7; 5000])] {
        assert!(unpacked(whole[..whole.len() - 3].to_vec()).is_err());
        assert!(unpacked([&whole[..], b"garbage!"].concat()).is_err());
    }
}

#[test]
fn other_compressions_are_refused_by_name() {
    assert!(matches!(Compression::sniff(b"\xfd7zXZ\0"), Err(DecompressError::Unsupported("xz"))));
    assert!(matches!(Compression::sniff(b"BZh91AY"), Err(DecompressError::Unsupported("bzip2"))));
}

#[test]
fn a_window_above_the_limit_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&[1; 100_000]).unwrap();
    assert!(unpacked(encoder.finish().unwrap()).is_err());
}

/// A source that fails where it should end, as one with a wrong digest does.
struct WrongAtTheEnd(Cursor<Vec<u8>>);

impl Read for WrongAtTheEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("wrong digest")),
            len => Ok(len),
        }
    }
}

#[test]
fn the_end_is_reported_only_after_the_source_reported_its_own() {
    for whole in [gzip(b"content"), zstd(b"content"), b"content".to_vec()] {
        let mut bytes = Vec::new();
        let error =
            decompress(WrongAtTheEnd(Cursor::new(whole))).unwrap().read_to_end(&mut bytes).unwrap_err();
        assert_eq!(error.to_string(), "wrong digest");
        assert_eq!(bytes, b"content");
    }
}

#[test]
fn another_thread_gives_the_same_bytes_and_the_same_error() {
    let content: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).collect();
    let mut bytes = Vec::new();
    decompress_ahead(Cursor::new(zstd(&content))).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes == content);
    let mut bytes = Vec::new();
    let mut reader = decompress_ahead(WrongAtTheEnd(Cursor::new(gzip(&content)))).unwrap();
    assert_eq!(reader.read_to_end(&mut bytes).unwrap_err().to_string(), "wrong digest");
    assert!(bytes == content);
    // What failed once never looks like an end.
    assert!(reader.read(&mut [0]).is_err());
}

#[test]
fn a_reader_that_is_dropped_early_does_not_block() {
    let mut reader = decompress_ahead(io::repeat(7)).unwrap();
    reader.read_exact(&mut [0; 1000]).unwrap();
}
