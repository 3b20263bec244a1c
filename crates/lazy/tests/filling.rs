//! A real layer, filled while it is read: fillers and holders are processes of their own, and are killed.
//! `$GAUFRE_FILL_KILLS` says how often (20 without), `$GAUFRE_SOAK_SEED` repeats the instants of a former run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gaufre_lazy::fill::{Filled, FillerError, Handles, Job, Numbers, ZstdFrames, fill, hold};
use gaufre_lazy::frames::{FrameMap, Trace};
use gaufre_lazy::mount_index;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use sha2::{Digest, Sha256};
use support::{Layer, Mounted, run};

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

/// Makes a test fail that would wait for ever: without a holder, readers go on.
struct Watch(#[allow(dead_code, reason = "its end is what is waited for")] mpsc::Sender<()>);

static LATE: AtomicBool = AtomicBool::new(false);

/// The present holder.
static HOLDER: AtomicI32 = AtomicI32::new(0);

impl Watch {
    fn over(name: &'static str) -> Self {
        const LONG_ENOUGH: Duration = Duration::from_secs(300);
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            while receiver.recv_timeout(LONG_ENOUGH) == Err(mpsc::RecvTimeoutError::Timeout) {
                println!("{name} takes too long; its holder is killed");
                LATE.store(true, Ordering::SeqCst);
                let holder = Pid::from_raw(HOLDER.load(Ordering::SeqCst)).unwrap();
                let _ = rustix::process::kill_process(holder, Signal::KILL);
            }
        });
        Self(sender)
    }
}

fn be_holder(arguments: &[String]) {
    let (pid, numbers) = owner(arguments);
    let handles = Handles::copy_from(pidfd_open(pid, PidfdFlags::empty()).unwrap(), numbers).unwrap();
    let Numbers { group, log, data } = handles.numbers();
    println!("{group} {log} {data}");
    hold(handles, io::stdin()).unwrap();
}

/// Arguments: the holder and its numbers, the directory, and what is wrong with the source.
fn be_filler(arguments: &[String]) {
    let (pid, numbers) = owner(arguments);
    let (dir, fault) = (Path::new(&arguments[4]), arguments[5].as_str());
    let holder = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let handles = Handles::copy_from(&holder, numbers).unwrap();
    let map = FrameMap::read(File::open(dir.join("frames")).unwrap()).unwrap();
    let blob = File::open(dir.join("blob")).unwrap();
    let present =
        File::options().read(true).write(true).create(true).truncate(false).open(dir.join("present"));
    let fetched = AtomicUsize::new(0);
    let source = ZstdFrames(|range: std::ops::Range<u64>| {
        // Slow enough that most kills find something under way.
        std::thread::sleep(Duration::from_millis(2));
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        blob.read_exact_at(&mut bytes, range.start)?;
        match fault {
            "away" if fetched.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) => {
                Err(io::ErrorKind::TimedOut.into())
            }
            // Another frame, well compressed.
            "wrong" => zstd::bulk::compress(&[0; FRAME_BYTES as usize], 1),
            _ => Ok(bytes),
        }
    });
    let filled = fill(Job {
        handles: &handles,
        holder: std::os::fd::AsFd::as_fd(&holder),
        map: &map,
        present: present.unwrap(),
        source: &source,
        prefetch: &[],
        patience: Duration::from_secs(if fault == "wrong" { 1 } else { 600 }),
        workers: 3,
    });
    match filled {
        Ok(Filled { trace }) => fs::write(dir.join("trace"), trace.encode()).unwrap(),
        Err(FillerError::HolderDied) => std::process::exit(3),
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

fn owner(arguments: &[String]) -> (Pid, Numbers) {
    let number = |at: usize| arguments[at].parse::<i32>().unwrap();
    (Pid::from_raw(number(0)).unwrap(), Numbers { group: number(1), log: number(2), data: number(3) })
}

/// A layer with its index, its compressed frames and what its files are.
struct Sample {
    layer: Layer,
    complete: Mounted,
    blob: Vec<u8>,
    map: FrameMap,
    files: BTreeMap<PathBuf, [u8; 32]>,
}

impl Sample {
    fn make() -> Self {
        let layer = Layer::of_unchecked(|tar| {
            let layout = gaufre_tests::images();
            let blobs = layout.join("blobs/sha256");
            let json =
                |path: &Path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap();
            let blob = |digest: &serde_json::Value| blobs.join(&digest.as_str().unwrap()[7..]);
            let index = json(&layout.join("index.json"));
            let named = |manifest: &&serde_json::Value| {
                manifest["annotations"]["org.opencontainers.image.ref.name"].as_str() == Some("python")
            };
            let manifest = index["manifests"].as_array().unwrap().iter().find(named).unwrap();
            let layers = json(&blob(&manifest["digest"]));
            let compressed = blob(&layers["layers"].as_array().unwrap().last().unwrap()["digest"]);
            run(Command::new("sh").args(["-c", "gzip -dc \"$1\" >\"$2\"", "sh"]).arg(compressed).arg(tar));
        });
        let tar = fs::read(&layer.tar).unwrap();
        let mut map = FrameMap::new(Sha256::digest(&tar).into(), FRAME_BYTES).unwrap();
        let mut blob = Vec::new();
        for data in tar.chunks(FRAME_BYTES as usize) {
            let start = blob.len() as u64;
            blob.extend(zstd::bulk::compress(data, 1).unwrap());
            map.push(data, start..blob.len() as u64).unwrap();
        }
        let complete = layer.mount();
        let mut files = BTreeMap::new();
        let mut waiting = vec![complete.root()];
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    waiting.push(entry.path());
                } else if kind.is_file() {
                    let inner = entry.path().strip_prefix(complete.root()).unwrap().to_owned();
                    files.insert(inner, Sha256::digest(fs::read(entry.path()).unwrap()).into());
                }
            }
        }
        Self { layer, complete, blob, map, files }
    }
}

/// An empty layer under a mounted index, with its holder.
struct Lazy {
    mounted: Mounted,
    holder: Child,
    _control: ChildStdin,
    owner: Vec<String>,
    dir: tempfile::TempDir,
}

impl Lazy {
    fn set_up(sample: &Sample) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("frames"), sample.map.encode()).unwrap();
        fs::write(dir.path().join("blob"), &sample.blob).unwrap();
        Self::on(sample, dir)
    }

    fn on(sample: &Sample, dir: tempfile::TempDir) -> Self {
        let path = dir.path().join("data");
        let data = File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let handles = Handles::set_up(data, &sample.map).unwrap();
        let numbers =
            |Numbers { group, log, data }: Numbers| [group, log, data].map(|number| number.to_string());
        let mut holder = Command::new(std::env::current_exe().unwrap());
        holder.arg("holder").arg(std::process::id().to_string()).args(numbers(handles.numbers()));
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut owner = vec![holder.id().to_string()];
        owner.extend(line.split_whitespace().map(str::to_owned));
        HOLDER.store(Pid::from_child(&holder).as_raw_nonzero().get(), Ordering::SeqCst);
        // From here on only the holder has the group.
        drop(handles);
        let index = File::open(&sample.layer.index).unwrap();
        let mounted = Mounted::of(mount_index(index, File::open(path).unwrap()).unwrap());
        let _control = holder.stdin.take().unwrap();
        Self { mounted, holder, _control, owner, dir }
    }

    fn filler(&self, fault: &str) -> Child {
        let mut filler = Command::new(std::env::current_exe().unwrap());
        filler.arg("filler").args(&self.owner).arg(self.dir.path()).arg(fault);
        filler.spawn().unwrap()
    }
}

impl Drop for Lazy {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn kill(mut child: Child) {
    rustix::process::kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
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
        let bits = gaufre_lazy::frames::Present::open(copy, &sample.map).unwrap();
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
    let _ = &sample.complete;
}
