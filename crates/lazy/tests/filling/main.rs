//! A real layer, filled while it is read: fillers and holders are processes of their own, and are killed.
//! `$GAUFRE_FILL_KILLS` says how often (20 without), `$GAUFRE_SOAK_SEED` repeats the instants of a former run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod roles;
mod sample;
#[path = "../support/mod.rs"]
mod support;
mod watch;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gaufre_lazy::frames::{Present, Trace};
use rustix::process::{Pid, Signal};
use sha2::{Digest, Sha256};

use roles::{be_filler, be_holder};
use sample::{Lazy, Sample};
use watch::{LATE, Watch};

const FRAME_BYTES: u32 = 128 << 10;

type Test = fn(&Sample);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("holder") => be_holder(&arguments[1..]),
        Some("filler") => be_filler(&arguments[1..]),
        _ => tests(&arguments),
    }
}

/// As the test harness has it: those whose name contains the argument, and a count.
fn tests(arguments: &[String]) {
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let all: [(&str, Test); 4] = [
        (
            "killed_fillers_give_readers_a_wait_and_nothing_wrong",
            killed_fillers_give_readers_a_wait_and_nothing_wrong,
        ),
        ("a_killed_holder_closes_the_layer", a_killed_holder_closes_the_layer),
        ("what_is_fetched_wrongly_never_reaches_a_reader", what_is_fetched_wrongly_never_reaches_a_reader),
        ("a_power_cut_leaves_only_frames_that_verify", a_power_cut_leaves_only_frames_that_verify),
    ];
    let sample = Sample::make();
    let mut passed = 0;
    println!("\nrunning {} tests", all.len());
    for (name, test) in
        all.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter.as_str())))
    {
        let started = Instant::now();
        let watch = Watch::over(name);
        test(&sample);
        drop(watch);
        assert!(!LATE.load(Ordering::SeqCst), "{name} waited for ever");
        println!("test {name} ... ok ({} ms)", started.elapsed().as_millis());
        passed += 1;
    }
    let left_out = all.len() - passed;
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured; {left_out} filtered out");
}

/// Numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = std::env::var("GAUFRE_SOAK_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn kill(mut child: Child) {
    rustix::process::kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
}

/// Reads the file in pieces; what is in it must be what is in the complete layer.
fn assert_right(sample: &Sample, root: &Path, inner: &Path) {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 48 << 10];
    let mut file = File::open(root.join(inner)).unwrap();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => hash.update(&buffer[..len]),
            Err(error) => panic!("{}: {error}", inner.display()),
        }
    }
    assert!(hash.finalize().as_slice() == sample.files[inner], "{} has the wrong content", inner.display());
}

fn killed_fillers_give_readers_a_wait_and_nothing_wrong(sample: &Sample) {
    let kills: usize = std::env::var("GAUFRE_FILL_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let mut random = Random::new();
    let mut killed = 0;
    while killed < kills {
        let lazy = Lazy::set_up(sample);
        let root = lazy.mounted.root();
        let order: Vec<&PathBuf> = sample.files.keys().collect();
        let is_read = AtomicBool::new(false);
        let (first, second) = (random.below(1000), random.below(1000));
        std::thread::scope(|scope| {
            let readers = [first, second].map(|seed| {
                let (order, root) = (&order, &root);
                scope.spawn(move || {
                    let mut random = Random(seed);
                    for _ in 0..order.len() {
                        let at = usize::try_from(random.below(order.len() as u64)).unwrap();
                        assert_right(sample, root, order[at]);
                    }
                })
            });
            scope.spawn(|| {
                for reader in readers {
                    reader.join().unwrap();
                }
                is_read.store(true, Ordering::SeqCst);
            });
            while killed < kills && !is_read.load(Ordering::SeqCst) {
                let filler = lazy.filler(if random.below(3) == 0 { "away" } else { "none" });
                std::thread::sleep(Duration::from_millis(random.below(150)));
                kill(filler);
                killed += 1;
            }
            let done = lazy.filler("none").wait().unwrap();
            assert!(done.success(), "{done}");
        });
        for inner in sample.files.keys() {
            assert_right(sample, &root, inner);
        }
        let (data, tar) =
            (fs::read(lazy.dir.path().join("data")).unwrap(), fs::read(&sample.layer.tar).unwrap());
        assert!(data == tar, "the complete data file is not the tar");
        let trace = File::open(lazy.dir.path().join("trace")).unwrap();
        Trace::read(trace, sample.map.diff_id(), sample.map.len()).unwrap();
    }
}

fn a_killed_holder_closes_the_layer(sample: &Sample) {
    let lazy = Lazy::set_up(sample);
    let mut filler = lazy.filler("none");
    let inner = sample.files.keys().next().unwrap();
    assert_right(sample, &lazy.mounted.root(), inner);
    rustix::process::kill_process(Pid::from_child(&lazy.holder), Signal::KILL).unwrap();
    assert_eq!(filler.wait().unwrap().code(), Some(3));
    let (mut failed, mut right) = (0, 0);
    for (inner, sum) in &sample.files {
        match fs::read(lazy.mounted.root().join(inner)) {
            Ok(content) => {
                // From the kernel's cache.
                assert!(
                    Sha256::digest(content).as_slice() == sum,
                    "{} has the wrong content",
                    inner.display()
                );
                right += 1;
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(5), "{}: {error}", inner.display());
                failed += 1;
            }
        }
    }
    assert!(failed > right, "only {failed} of {} reads failed", failed + right);
    // Set up again, it is filled again.
    let Lazy { ref dir, .. } = lazy;
    let again = Lazy::set_up(sample);
    assert_eq!(fs::metadata(dir.path().join("present")).unwrap().len(), 0);
    let done = again.filler("none").wait().unwrap();
    assert!(done.success());
    assert_right(sample, &again.mounted.root(), inner);
}

fn what_is_fetched_wrongly_never_reaches_a_reader(sample: &Sample) {
    let lazy = Lazy::set_up(sample);
    let filler = lazy.filler("wrong");
    for inner in sample.files.keys().take(3) {
        let size = fs::metadata(lazy.mounted.root().join(inner)).unwrap().len();
        if size > 0 {
            assert_eq!(fs::read(lazy.mounted.root().join(inner)).unwrap_err().raw_os_error(), Some(5));
        }
    }
    kill(filler);
    // The same reads, asked of a better source.
    let filler = lazy.filler("none");
    for inner in sample.files.keys().take(3) {
        assert_right(sample, &lazy.mounted.root(), inner);
    }
    kill(filler);
}

/// What a power cut leaves is at least what was made durable; at worst the data file has zeros for all the rest.
fn a_power_cut_leaves_only_frames_that_verify(sample: &Sample) {
    let lazy = Lazy::set_up(sample);
    let present = lazy.dir.path().join("present");
    let filler = lazy.filler("none");
    // The bits come after their data, at any instant.
    let mut seen = 0;
    while seen < 5 {
        let bits = fs::read(&present).unwrap_or_default();
        let copy = tempfile::tempfile().unwrap();
        copy.write_all_at(&bits, 0).unwrap();
        let bits = Present::open(copy, &sample.map).unwrap();
        let tar = File::open(&sample.layer.tar).unwrap();
        let data = lazy.dir.path().join("data");
        if bits.missing() < sample.map.len() {
            seen += 1;
            // Only frames that are said to be there may be read here: who reads others waits, as this is a reader too.
            let data = File::open(&data).unwrap();
            for frame in (0..sample.map.len()).filter(|&frame| bits.has(frame)) {
                let frame = sample.map.frame(frame).unwrap();
                let read = |file: &File| {
                    let mut bytes = vec![0; frame.data_bytes()];
                    file.read_exact_at(&mut bytes, frame.data.start).unwrap();
                    bytes
                };
                assert!(frame.is(&read(&data)) && read(&data) == read(&tar));
            }
        }
        if bits.missing() == 0 {
            break;
        }
    }
    kill(filler);
}
