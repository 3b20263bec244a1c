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
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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
