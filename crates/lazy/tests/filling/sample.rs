//! A real layer, whole and about to be filled.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::Ordering;

use gaufre_lazy::fill::{Handles, Numbers};
use gaufre_lazy::frames::FrameMap;
use gaufre_lazy::mount_index;
use rustix::process::Pid;
use sha2::{Digest, Sha256};

use crate::FRAME_BYTES;
use crate::support::{Layer, Mounted, run};
use crate::watch::HOLDER;

/// A layer with its index, its compressed frames and what its files are.
pub(crate) struct Sample {
    pub(crate) layer: Layer,
    blob: Vec<u8>,
    pub(crate) map: FrameMap,
    pub(crate) files: BTreeMap<PathBuf, [u8; 32]>,
}

impl Sample {
    pub(crate) fn make() -> Self {
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
        Self { layer, blob, map, files }
    }
}

/// An empty layer under a mounted index, with its holder.
pub(crate) struct Lazy {
    pub(crate) mounted: Mounted,
    pub(crate) holder: Child,
    _control: ChildStdin,
    owner: Vec<String>,
    pub(crate) dir: tempfile::TempDir,
}

impl Lazy {
    pub(crate) fn set_up(sample: &Sample) -> Self {
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

    pub(crate) fn filler(&self, fault: &str) -> Child {
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
