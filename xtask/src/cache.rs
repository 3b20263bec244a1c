//! The user's cache folder, where everything that takes long to make is kept, keyed by what it is made of.
//!
//! A thing is made in a scratch folder beside its place and renamed there when it is whole, under a lock that makes a
//! second run wait for the first instead of making it twice.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The folder of one kind of thing (`images`, `kernels`, `peers`), made if missing.
pub(crate) fn folder(kind: &str) -> Result<PathBuf> {
    let dir = gaufre_tests::cache_dir().join(kind);
    fs::create_dir_all(&dir)
        .with_context(|| format!("the cache folder {} could not be made", dir.display()))?;
    Ok(dir)
}

/// A short name for what `parts` say: the same parts give the same key.
pub(crate) fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
}

/// Returns `dir`/`name`, after `make` has filled it if it was not there yet.
///
/// `make` is given an empty scratch folder; what it leaves there appears under the name only once it is whole.
pub(crate) fn once(dir: &Path, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let place = dir.join(name);
    if place.exists() {
        return Ok(place);
    }
    let _lock = lock(dir, name)?;
    if place.exists() {
        return Ok(place);
    }
    let scratch = dir.join(format!(".making-{name}"));
    remove(&scratch)?;
    fs::create_dir_all(&scratch)?;
    match make(&scratch) {
        Ok(()) => fs::rename(&scratch, &place)
            .with_context(|| format!("{} could not be put in its place", place.display()))?,
        Err(error) => {
            let _ = remove(&scratch);
            return Err(error);
        }
    }
    Ok(place)
}

/// Waits for and takes the lock called `name` in `dir`; dropping it, or dying, gives it back.
pub(crate) fn lock(dir: &Path, name: &str) -> Result<File> {
    let path = dir.join(format!(".lock-{name}"));
    let file =
        File::create(&path).with_context(|| format!("the lock {} could not be made", path.display()))?;
    file.lock().with_context(|| format!("the lock {} could not be taken", path.display()))?;
    Ok(file)
}

/// Points the symlink `dir`/`name` at `target` in one step.
pub(crate) fn point(dir: &Path, name: &str, target: &Path) -> Result<()> {
    let fresh = dir.join(format!(".{name}-{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(target, &fresh)?;
    fs::rename(&fresh, dir.join(name))
        .with_context(|| format!("{name} could not be pointed at {}", target.display()))
}

/// Removes a tree; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} could not be removed", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_made_once_and_a_failed_making_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(once(dir.path(), "x", |_| anyhow::bail!("no")).is_err());
        assert!(!dir.path().join("x").exists() && !dir.path().join(".making-x").exists());
        let place = once(dir.path(), "x", |d| Ok(fs::write(d.join("f"), "1")?)).unwrap();
        once(dir.path(), "x", |_| anyhow::bail!("made twice")).unwrap();
        assert_eq!(fs::read_to_string(place.join("f")).unwrap(), "1");
    }

    #[test]
    fn the_key_tells_parts_apart() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["a"]), key(&["a"]));
    }
}
