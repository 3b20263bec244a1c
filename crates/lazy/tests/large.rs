//! Layers with very many files and very large ones, and what they cost in memory.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Cursor, Write};
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::sync::Mutex;
    use std::sync::atomic::Ordering;

    use gaufre_lazy::layer::LayerLimits;
    use gaufre_lazy::write_index;

    use crate::support::Layer;
    use crate::support::archive::Archive;
    use crate::{IN_USE, MOST};

    /// One at a time, so that the memory counted is that of one layer.
    static ALONE: Mutex<()> = Mutex::new(());

    #[test]
    fn more_than_a_hundred_thousand_files_are_indexed_in_the_memory_that_is_promised() {
        // Just more than a list holds that grows by doubling.
        const FILES: usize = 132_000;
        let _alone = ALONE.lock();
        let mut archive = Archive::default();
        for number in 0..FILES {
            // One directory has half of them.
            let name = format!("{}/f{number}", if number % 2 == 0 { 0 } else { number % 1000 });
            archive = match number % 5 {
                0 => archive.symlink(&name, "elsewhere"),
                _ => archive.file(&name, b"x"),
            };
        }
        let tar = archive.end();
        let out = Cursor::new(Vec::with_capacity(64 << 20));
        let before = IN_USE.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let indexed = write_index(tar.as_slice(), out, &LayerLimits::default()).unwrap();
        let held = MOST.load(Ordering::Relaxed) - before;
        println!("{} bytes for each file, {indexed:?}", held / FILES);
        // The longest name, a target, and the buffers that do not grow with the number.
        assert!(held < FILES * (320 + 9 + 9) + (1 << 20), "{held} bytes");
        assert!(indexed.index_bytes < 20 << 20);

        let layer = Layer::of_bytes(&tar);
        let mounted = layer.mount();
        assert_eq!(fs::read_dir(mounted.root().join("0")).unwrap().count(), FILES / 2);
        for number in [1, 5, 77_777, 99_998] {
            let name = format!("{}/f{number}", if number % 2 == 0 { 0 } else { number % 1000 });
            let data = fs::symlink_metadata(mounted.root().join(name)).unwrap();
            assert_eq!(data.is_symlink(), number % 5 == 0, "{number}");
        }
        assert!(!mounted.root().join("0/f132000").exists());
    }

    #[test]
    fn a_file_larger_than_four_gibibytes_can_be_read_at_its_end() {
        let _alone = ALONE.lock();
        const SIZE: u64 = (5 << 30) + 1000;
        let layer = Layer::of_unchecked(|path| {
            let mut tar = File::create(path).unwrap();
            tar.write_all(&Archive::default().raw(b'0', "huge", "", SIZE, b"").0).unwrap();
            tar.write_all_at(b"first", 512).unwrap();
            tar.write_all_at(b"last", 512 + SIZE - 4).unwrap();
            let end = (512 + SIZE).next_multiple_of(512);
            tar.write_all_at(&Archive::default().file("behind", b"it").end(), end).unwrap();
        });
        let mounted = layer.mount();
        let huge = File::open(mounted.root().join("huge")).unwrap();
        assert_eq!(huge.metadata().unwrap().size(), SIZE);
        let mut bytes = [1; 8];
        huge.read_exact_at(&mut bytes, SIZE - 8).unwrap();
        assert_eq!(&bytes, b"\0\0\0\0last");
        huge.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"first\0\0\0");
        assert_eq!(fs::read(mounted.root().join("behind")).unwrap(), b"it");
    }

    #[test]
    fn a_sparse_file_that_is_nearly_all_holes_costs_little() {
        let _alone = ALONE.lock();
        let tar = Archive::default()
            .pax(&[
                ("GNU.sparse.major", b"0"),
                ("GNU.sparse.minor", b"1"),
                ("GNU.sparse.size", b"100000000000"),
                ("GNU.sparse.map", b"0,512,50000000000,512,99999999488,512"),
            ])
            .file("sparse", &[7; 3 * 512]);
        let before = IN_USE.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let layer = Layer::of_unchecked(|path| fs::write(path, tar.clone().end()).unwrap());
        assert!(MOST.load(Ordering::Relaxed) - before < 4 << 20);
        assert!(layer.indexed.index_bytes < 8 << 20, "{:?}", layer.indexed);
        let mounted = layer.mount();
        let sparse = File::open(mounted.root().join("sparse")).unwrap();
        for (at, byte) in
            [(0, 7), (511, 7), (512, 0), (50_000_000_000, 7), (49_999_999_999, 0), (99_999_999_999, 7)]
        {
            let mut found = [1];
            sparse.read_exact_at(&mut found, at).unwrap();
            assert_eq!(found, [byte], "{at}");
        }
    }
}
