//! All that can be seen of a tree.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Every path below `root`, and what there is to know of it. The number of links of directories is left out: file
/// systems count them in different ways.
pub fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    let mut paths = BTreeMap::<_, Vec<PathBuf>>::new();
    while let Some(path) = waiting.pop() {
        let data = fs::symlink_metadata(&path).unwrap();
        let inner = path.strip_prefix(root).unwrap().to_owned();
        let mut text = format!(
            "{:o} {}:{} time {}.{:09} device {}",
            data.mode(),
            data.uid(),
            data.gid(),
            data.mtime(),
            data.mtime_nsec(),
            data.rdev(),
        );
        if data.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            text += &format!(" links {}", data.nlink());
            paths.entry(data.ino()).or_default().push(inner.clone());
        }
        if data.is_symlink() {
            text += &format!(" -> {:?}", fs::read_link(&path).unwrap());
        } else if data.is_file() {
            text += &format!(" {} bytes {}", data.len(), hash(&path));
        }
        text += &format!(" {:?}", xattrs(&path));
        found.insert(inner, text);
    }
    for mut same in paths.into_values().filter(|same| same.len() > 1) {
        same.sort();
        for path in &same {
            *found.get_mut(path).unwrap() += &format!(" is {:?}", same[0]);
        }
    }
    found
}

fn hash(path: &Path) -> String {
    let mut file = File::open(path).unwrap();
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => break,
            len => hash.update(&buffer[..len]),
        }
    }
    hash.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut list = vec![0_u8; 65536];
    let len = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
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

pub fn assert_same(expected: &Path, found: &Path) {
    assert_same_but(expected, found, &[]);
}

/// Both trees are the same but for `left_out`.
pub fn assert_same_but(expected: &Path, found: &Path, left_out: &[&str]) {
    let (mut expected, mut found) = (describe(expected), describe(found));
    for path in left_out {
        expected.remove(Path::new(path));
        found.remove(Path::new(path));
    }
    for (path, text) in &expected {
        assert_eq!(Some(text), found.get(path), "{path:?}");
    }
    let more: Vec<_> = found.keys().filter(|path| !expected.contains_key(*path)).collect();
    assert!(more.is_empty(), "{more:?} should not be there");
}
