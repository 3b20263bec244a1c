//! Layers as archives, their indexes checked by fsck.erofs and mounted, and a comparison of trees.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations
)]

pub mod archive;
pub mod tree;

use std::fs::{self, File};
use std::io::{BufReader, Cursor};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use gaufre_lazy::frames::Skeleton;
use gaufre_lazy::layer::LayerLimits;
use gaufre_lazy::{Indexed, mount_index, write_index};

/// A layer and its index.
pub struct Layer {
    pub dir: tempfile::TempDir,
    pub tar: PathBuf,
    pub index: PathBuf,
    pub indexed: Indexed,
}

/// A mounted index; unmounted when dropped.
pub struct Mounted {
    fd: OwnedFd,
}

impl Layer {
    pub fn of_bytes(tar: &[u8]) -> Self {
        Self::of(|path| fs::write(path, tar).unwrap())
    }

    /// The layer that GNU tar makes of `tree`.
    pub fn of_tree(tree: &Path, options: &[&str]) -> Self {
        Self::of(|path| {
            let mut tar = Command::new("tar");
            tar.arg("-C").arg(tree).args(options).args(["--numeric-owner", "-cf"]).arg(path).arg(".");
            run(&mut tar);
        })
    }

    /// `write` is told where the tar is to be.
    pub fn of(write: impl FnOnce(&Path)) -> Self {
        let layer = Self::of_unchecked(write);
        layer.check();
        layer.check_skeleton();
        layer
    }

    /// Without fsck.erofs, which reads every byte of every file.
    pub fn of_unchecked(write: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (tar, index) = (dir.path().join("layer.tar"), dir.path().join("index.erofs"));
        write(&tar);
        let stream = BufReader::with_capacity(1 << 18, File::open(&tar).unwrap());
        let indexed = write_index(stream, File::create(&index).unwrap(), &LayerLimits::default()).unwrap();
        Self { dir, tar, index, indexed }
    }

    /// What fsck.erofs says; it reads everything.
    fn check(&self) {
        assert_eq!(self.indexed.tar_bytes, fs::metadata(&self.tar).unwrap().len());
        assert_eq!(self.indexed.index_bytes, fs::metadata(&self.index).unwrap().len());
        assert_eq!(self.indexed.index_bytes % 512, 0);
        let device = format!("--device={}", self.tar.display());
        let mut fsck = tool("fsck.erofs");
        run(fsck.arg("-d1").arg(device).arg("--extract").arg(&self.index));
    }

    /// What is left of the tar without the data of its files gives the same index.
    fn check_skeleton(&self) {
        let limits = LayerLimits::default();
        let tar = || BufReader::with_capacity(1 << 18, File::open(&self.tar).unwrap());
        let skeleton = Skeleton::of(tar(), [7; 32], &limits).unwrap();
        let file = skeleton.encode();
        let again = Skeleton::read(file.as_slice()).unwrap();
        let mut index = Cursor::new(Vec::new());
        let indexed = write_index(again.stream(), &mut index, &limits).unwrap();
        assert_eq!(indexed, self.indexed);
        assert!(index.into_inner() == fs::read(&self.index).unwrap(), "the skeleton's index is another");
        let tar_bytes = self.indexed.tar_bytes;
        assert!(
            file.len() as u64 <= tar_bytes + 200 + 12 * self.indexed.files,
            "{} of {tar_bytes}",
            file.len()
        );
    }

    pub fn mount(&self) -> Mounted {
        Mounted::new(&self.index, &self.tar)
    }

    /// The index that mkfs.erofs makes of the same tar, mounted.
    pub fn mount_of_mkfs(&self) -> Mounted {
        let index = self.dir.path().join("mkfs.erofs");
        run(tool("mkfs.erofs").args(["--quiet", "--tar=i", "--aufs"]).arg(&index).arg(&self.tar));
        Mounted::new(&index, &self.tar)
    }

    /// What GNU tar unpacks.
    pub fn unpack(&self) -> PathBuf {
        let tree = self.dir.path().join("unpacked");
        fs::create_dir(&tree).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&tree).args(["--numeric-owner", "--same-owner", "-p", "--xattrs"]);
        run(tar.args(["--xattrs-include=*", "-xf"]).arg(&self.tar));
        tree
    }
}

impl Mounted {
    fn new(index: &Path, tar: &Path) -> Self {
        let fd = mount_index(File::open(index).unwrap(), File::open(tar).unwrap());
        Self::of(fd.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error))))
    }

    pub fn of(fd: OwnedFd) -> Self {
        Self { fd }
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub fn root(&self) -> PathBuf {
        format!("/proc/self/fd/{}/.", self.fd.as_raw_fd()).into()
    }
}

/// One of the newest EROFS tools.
pub fn tool(name: &str) -> Command {
    let path = gaufre_tests::cache_dir().join("peers/erofs/bin").join(name);
    assert!(path.exists(), "{} is missing: get it with `cargo xtask peers`", path.display());
    Command::new(path)
}

pub fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", said(&output.stdout), said(&output.stderr));
    output.stdout
}
