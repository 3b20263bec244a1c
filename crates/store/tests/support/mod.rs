//! A store in a temporary directory, layers made by GNU tar, and a comparison of trees.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use gaufre_lazy::write_index;
use gaufre_store::{AddLayerError, LayerLimits, LayerOutcome, Store, StoreOptions};
use oci_spec::image::Digest;
use sha2::{Digest as _, Sha256};

pub struct TestStore {
    pub dir: tempfile::TempDir,
    pub store: Store,
}

impl TestStore {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        Self { dir, store }
    }

    pub fn tar(&self, tree: &Path, options: &[&str]) -> Vec<u8> {
        self.tar_of(tree, &["."], options)
    }

    pub fn tar_of(&self, tree: &Path, names: &[&str], options: &[&str]) -> Vec<u8> {
        let mut command = Command::new("tar");
        command.arg("-C").arg(tree).args(options).args(["--numeric-owner", "-cf", "-"]).args(names);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn add(&self, tar: &[u8]) -> (Digest, Result<LayerOutcome, AddLayerError>) {
        self.add_within(tar, &LayerLimits::default())
    }

    pub fn add_within(
        &self,
        tar: &[u8],
        limits: &LayerLimits,
    ) -> (Digest, Result<LayerOutcome, AddLayerError>) {
        let diff_id = digest_of(tar);
        let lease = self.store.lease().unwrap();
        let outcome = self.store.add_layer(&lease, &diff_id, tar, limits);
        assert_index_agrees(tar, limits, &outcome);
        (diff_id, outcome)
    }

    pub fn layer_tree(&self, diff_id: &Digest) -> PathBuf {
        self.store.root().join("layers").join(diff_id.digest()).join("fs")
    }

    /// Nothing half made is in the store.
    pub fn assert_no_trace(&self, diff_id: &Digest) {
        assert!(!self.store.has_layer(diff_id).unwrap());
        for part in ["staging", "layers"] {
            let left: Vec<_> = fs::read_dir(self.store.root().join(part)).unwrap().collect();
            assert!(left.is_empty(), "{part} holds {left:?}");
        }
    }
}

/// The index writer accepts and refuses the same layers as the unpacker.
fn assert_index_agrees(tar: &[u8], limits: &LayerLimits, outcome: &Result<LayerOutcome, AddLayerError>) {
    match (outcome, write_index(tar, Cursor::new(Vec::new()), limits)) {
        (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
        (Ok(_), Err(error)) => panic!("the layer is unpacked but not indexed: {error} {:?}", error.source()),
        (Err(error), Ok(_)) => panic!("the layer is indexed but not unpacked: {error} {:?}", error.source()),
    }
}

pub fn open(dir: &Path) -> Store {
    Store::open(StoreOptions { root: dir.join("root"), run: dir.join("run") }).unwrap()
}

pub fn digest_of(bytes: &[u8]) -> Digest {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}").parse().unwrap()
}

pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// All that can be seen of a tree, by path.
pub fn describe(root: &Path, with_xattrs: bool) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    let mut inodes = BTreeMap::new();
    while let Some(path) = waiting.pop() {
        let data = fs::symlink_metadata(&path).unwrap();
        let inner = path.strip_prefix(root).unwrap().to_owned();
        let mut text = format!(
            "{:o} {}:{} {} dev {} links {}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.mtime(),
            data.rdev(),
            if data.is_dir() { 0 } else { data.nlink() }
        );
        if data.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if data.is_symlink() {
            text += &format!(" -> {:?}", fs::read_link(&path).unwrap());
        } else if data.is_file() {
            text += &format!(" {} {}", data.len(), digest_of(&fs::read(&path).unwrap()));
            let first = inodes.entry(data.ino()).or_insert_with(|| inner.clone());
            if data.nlink() > 1 && *first != inner {
                text += " linked";
            }
        }
        if with_xattrs && !data.is_symlink() {
            text += &format!(" {:?}", xattrs(&path));
        }
        found.insert(inner, text);
    }
    found
}

fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut list = vec![0_u8; 65536];
    let len = rustix::fs::llistxattr(path, &mut list[..]).unwrap_or(0);
    let names = list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let name = String::from_utf8(name.to_vec()).unwrap();
            let mut value = vec![0_u8; 65536];
            let len = rustix::fs::lgetxattr(path, name.as_str(), &mut value[..]).unwrap();
            value.truncate(len);
            (name, value)
        })
        .collect()
}

pub fn assert_same_tree(expected: &Path, found: &Path, with_xattrs: bool) {
    let (expected, found) = (describe(expected, with_xattrs), describe(found, with_xattrs));
    for (path, text) in &expected {
        assert_eq!(Some(text), found.get(path), "{path:?}");
    }
    assert_eq!(expected.len(), found.len());
}

/// A tar archive made header by header, also such as no tool would make.
#[derive(Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    /// An entry whose header says `size`, whatever `data` is.
    pub fn raw(mut self, kind: u8, name: &str, link: &str, size: u64, data: &[u8]) -> Self {
        let mut block = [0_u8; 512];
        block[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        block[100..108].copy_from_slice(b"0000644\0");
        block[108..116].copy_from_slice(b"0000000\0");
        block[116..124].copy_from_slice(b"0000000\0");
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[329..337].copy_from_slice(b"0000001\0");
        block[337..345].copy_from_slice(b"0000003\0");
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(block);
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(b'0', name, "", data.len() as u64, data)
    }

    pub fn dir(self, name: &str) -> Self {
        self.raw(b'5', name, "", 0, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name, target, 0, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name, target, 0, b"")
    }

    /// PAX records for the entry that follows.
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut data = String::new();
        for (key, value) in records {
            let mut len = key.len() + value.len() + 3;
            while format!("{len} {key}={value}\n").len() != len {
                len += 1;
            }
            data += &format!("{len} {key}={value}\n");
        }
        self.raw(b'x', "PaxHeaders/x", "", data.len() as u64, data.as_bytes())
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
