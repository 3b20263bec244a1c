//! Mutations of indexable tars, frame maps, traces and bitmaps: whatever the bytes are, they are understood or refused,
//! without a panic and without more memory than their length explains. `$GAUFRE_FUZZ_CASES` says how many (2,000 without).
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{Cursor, Read, Seek, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gaufre_lazy::frames::{FrameMap, Present, Skeleton, Trace};
use gaufre_lazy::layer::LayerLimits;
use gaufre_lazy::write_index;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest, Sha256};
use support::archive::Archive;

/// Counts what is in use and the most that ever was.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; only numbers are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of alloc.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of dealloc.
        unsafe { System.dealloc(place, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time, so that the memory counted is that of one input.
static ALONE: Mutex<()> = Mutex::new(());

/// A change to a file.
#[derive(Clone, Debug)]
enum Change {
    Byte(prop::sample::Index, u8),
    /// A number that has hurt parsers before, of so many bytes.
    Number(prop::sample::Index, u64, usize),
    Cut(prop::sample::Index),
    Double(prop::sample::Index, prop::sample::Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let numbers =
        vec![0, 1, 255, 1 << 16, (1 << 16) + 1, 1 << 31, u32::MAX.into(), 1 << 32, 1 << 63, u64::MAX];
    let change = prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        4 => (any::<prop::sample::Index>(), prop::sample::select(numbers), prop::sample::select(vec![4_usize, 8]))
            .prop_map(|(at, number, len)| Change::Number(at, number, len)),
        1 => any::<prop::sample::Index>().prop_map(Change::Cut),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(from, to)| Change::Double(from, to)),
    ];
    prop::collection::vec(change, 1..5)
}

fn apply(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        match change {
            Change::Byte(at, byte) => bytes[at.index(len)] = *byte,
            Change::Number(at, number, size) => {
                // Fields begin at multiples of four.
                let at = at.index(len) / 4 * 4;
                for (place, byte) in bytes[at..].iter_mut().zip(&number.to_le_bytes()[..*size]) {
                    *place = *byte;
                }
            }
            Change::Cut(at) => bytes.truncate(at.index(len)),
            Change::Double(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes
}

/// The body of a sealed file, changed and sealed again: the checksum keeps out damage, not malice.
fn resealed(file: &[u8], changes: &[Change]) -> Vec<u8> {
    let body = apply(file[20..file.len() - 32].to_vec(), changes);
    let mut file = file[..12].to_vec();
    file.extend((body.len() as u64).to_le_bytes());
    file.extend(body);
    let sum = Sha256::digest(&file);
    file.extend(sum);
    file
}

fn fuzz(name: &str, most_bytes: usize, read: impl Fn(&[Change])) {
    let _alone = ALONE.lock();
    let cases = std::env::var("GAUFRE_FUZZ_CASES").map_or(2000, |cases| cases.parse().unwrap());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&changes(), |changes| {
        let before = IN_USE.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        read(&changes);
        let used = MOST.load(Ordering::Relaxed).saturating_sub(before);
        prop_assert!(used < most_bytes, "{used} bytes for {name}");
        Ok(())
    });
    result.unwrap();
}

fn map() -> FrameMap {
    let mut map = FrameMap::new([7; 32], 1 << 16).unwrap();
    for frame in 0..40 {
        map.push(&[9; 1 << 16], frame * 100..frame * 100 + 100).unwrap();
    }
    map.push(&[9; 100], 4000..4010).unwrap();
    map
}

#[test]
fn a_changed_frame_map_is_refused_or_sound() {
    let file = map().encode();
    fuzz("a frame map", 1 << 20, |changes| {
        assert!(
            apply(file.clone(), changes) == file
                || FrameMap::read(apply(file.clone(), changes).as_slice()).is_err()
        );
        let Ok(map) = FrameMap::read(resealed(&file, changes).as_slice()) else { return };
        for number in 0..map.len() {
            let frame = map.frame(number).unwrap();
            assert!(frame.data.start < frame.data.end && frame.data.end <= map.data_bytes());
            assert!(frame.blob.start < frame.blob.end && frame.blob.end <= map.blob_bytes());
            assert_eq!(map.touched(frame.data), number..number + 1);
        }
        assert_eq!(FrameMap::read(map.encode().as_slice()).unwrap(), map);
    });
}

#[test]
fn a_changed_trace_is_refused_or_sound() {
    let mut trace = Trace::new([7; 32], 1000);
    (0..300).for_each(|touch| trace.touch(touch * 7 % 1000));
    let file = trace.encode();
    fuzz("a trace", 1 << 20, |changes| {
        assert!(
            apply(file.clone(), changes) == file
                || Trace::read(apply(file.clone(), changes).as_slice(), &[7; 32], 1000).is_err()
        );
        let Ok(trace) = Trace::read(resealed(&file, changes).as_slice(), &[7; 32], 1000) else { return };
        let mut frames = trace.frames().to_vec();
        frames.sort_unstable();
        frames.dedup();
        assert_eq!(frames.len(), trace.frames().len());
        assert!(frames.iter().all(|&frame| frame < 1000));
    });
}

#[test]
fn a_changed_skeleton_is_refused_or_indexed() {
    let tar = Archive::default().dir("a/").file("a/f", &[1; 5000]).symlink("a/l", "f").file("g", b"x").end();
    let file = Skeleton::of(tar.as_slice(), [7; 32], &LayerLimits::default()).unwrap().encode();
    let limits = LayerLimits { bytes: 1 << 30, ..LayerLimits::default() };
    fuzz("a skeleton", 4 << 20, |changes| {
        let changed = apply(file.clone(), changes);
        assert!(changed == file || Skeleton::read(changed.as_slice()).is_err());
        let Ok(skeleton) = Skeleton::read(resealed(&file, changes).as_slice()) else { return };
        let _ = write_index(skeleton.stream(), Cursor::new(Vec::new()), &limits);
    });
}

#[test]
fn a_changed_bitmap_never_claims_a_frame_that_was_not_added() {
    let map = map();
    let added = [0, 1, 17, 40];
    let data = tempfile::tempfile().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    Present::open(file.try_clone().unwrap(), &map).unwrap().add(&added, &data).unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    // Each opening is synchronous writing; a tenth of the cases is enough.
    let turn = AtomicUsize::new(0);
    fuzz("a bitmap", 1 << 20, |changes| {
        if !turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(10) {
            return;
        }
        let mut changed: File = tempfile::tempfile().unwrap();
        changed.write_all(&apply(bytes.clone(), changes)).unwrap();
        let present = Present::open(changed, &map).unwrap();
        let claimed = (0..map.len())
            .filter(|&frame| present.has(frame))
            .inspect(|frame| assert!(added.contains(frame)));
        assert_eq!(u32::try_from(claimed.count()).unwrap() + present.missing(), map.len());
    });
}

#[test]
fn a_changed_tar_is_refused_or_indexed() {
    let tar = Archive::default()
        .dir("a/")
        .pax(&[("SCHILY.xattr.user.x", b"y"), ("mtime", b"1.5"), ("path", b"a/long name")])
        .file("x", b"content")
        .pax(&[
            ("GNU.sparse.major", b"0"),
            ("GNU.sparse.minor", b"1"),
            ("GNU.sparse.size", b"100000"),
            ("GNU.sparse.map", b"1000,512,50000,100"),
        ])
        .file("sparse", &[3; 612])
        .symlink("a/link", "../b")
        .hard_link("b", "a/long name")
        .file(".wh.c", b"")
        .end();
    // Buffers, and as much again as a header may hold.
    fuzz("an index", 4 << 20, |changes| {
        let mut out = Cursor::new(Vec::new());
        if let Ok(indexed) =
            write_index(apply(tar.clone(), changes).as_slice(), &mut out, &LayerLimits::default())
        {
            assert_eq!(out.get_ref().len() as u64, indexed.index_bytes);
        }
    });
}
