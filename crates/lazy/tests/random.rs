//! Random trees, packed by GNU tar: their index is sound, and shows what GNU tar unpacks and what the newest mkfs.erofs makes
//! of them. `$GAUFRE_TREE_CASES` says how many (16 without).

mod support;

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use rustix::fs::{CWD, FileType, Mode, XattrFlags};

    use crate::support::Layer;
    use crate::support::tree::assert_same;

    /// One thing to make; names repeat, so that directories fill and links find targets.
    #[derive(Debug, Clone)]
    enum Step {
        Directory(PathBuf, u32),
        File(PathBuf, Vec<u8>, u32, u32),
        Sparse(PathBuf, Vec<(u32, u16)>),
        Symlink(PathBuf, PathBuf),
        HardLink(PathBuf, PathBuf),
        Node(PathBuf, bool, u32, u32),
        Xattr(PathBuf, u8, Vec<u8>),
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let bytes = prop::collection::vec((1_u8..=255).prop_filter("no slash", |&byte| byte != b'/'), 1..12);
        prop_oneof![
            8 => "[a-c]".prop_map(String::into_bytes),
            2 => bytes.prop_filter("no dots", |name| name != b"." && name != b".." && !name.starts_with(b".wh.")),
            1 => (90_usize..=255).prop_map(|len| vec![b'n'; len]),
        ]
    }

    fn path() -> impl Strategy<Value = PathBuf> {
        prop::collection::vec(name(), 1..5).prop_map(|parts| OsString::from_vec(parts.join(&b'/')).into())
    }

    fn step() -> impl Strategy<Value = Step> {
        let content = prop::collection::vec(any::<u8>(), 0..2000);
        let pieces = prop::collection::vec((0_u32..200_000, 1_u16..6000), 0..4);
        let value = prop::collection::vec(any::<u8>(), 0..900);
        prop_oneof![
            4 => (path(), 0_u32..0o10000).prop_map(|(path, mode)| Step::Directory(path, mode)),
            6 => (path(), content, 0_u32..0o10000, any::<u32>())
                .prop_map(|(path, content, mode, owner)| Step::File(path, content, mode, owner / 2)),
            2 => (path(), pieces).prop_map(|(path, pieces)| Step::Sparse(path, pieces)),
            3 => (path(), path()).prop_map(|(path, target)| Step::Symlink(path, target)),
            3 => (path(), path()).prop_map(|(path, target)| Step::HardLink(path, target)),
            1 => (path(), any::<bool>(), 1_u32..4096, 0_u32..1 << 20)
                .prop_map(|(path, block, major, minor)| Step::Node(path, block, major, minor)),
            4 => (path(), b'a'..b'd', value).prop_map(|(path, name, value)| Step::Xattr(path, name, value)),
        ]
    }

    /// Steps that do not fit what is there are left out: any tree will do.
    fn make(root: &Path, step: &Step) -> std::io::Result<()> {
        let (Step::Directory(inner, ..)
        | Step::File(inner, ..)
        | Step::Sparse(inner, ..)
        | Step::Symlink(inner, ..)
        | Step::HardLink(inner, ..)
        | Step::Node(inner, ..)
        | Step::Xattr(inner, ..)) = step;
        let path = root.join(inner);
        // Through a link a step could leave the tree.
        if path.ancestors().take_while(|above| *above != root).any(Path::is_symlink) {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|_| !matches!(step, Step::Xattr(..))) {
            fs::create_dir_all(parent)?;
        }
        match step {
            Step::Directory(_, mode) => {
                fs::create_dir_all(&path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
            }
            Step::File(_, content, mode, owner) => {
                fs::write(&path, content)?;
                chown(&path, Some(*owner), Some(owner / 2))?;
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
            }
            Step::Sparse(_, pieces) => {
                let file = fs::File::create(&path)?;
                for &(at, len) in pieces {
                    file.write_all_at(&vec![7; len.into()], at.into())?;
                }
                file.set_len(250_000)
            }
            Step::Symlink(_, target) => symlink(target, &path),
            Step::HardLink(_, target) => fs::hard_link(root.join(target), &path),
            Step::Node(_, block, major, minor) => {
                let kind = if *block { FileType::BlockDevice } else { FileType::CharacterDevice };
                let device = rustix::fs::makedev(*major, *minor);
                Ok(rustix::fs::mknodat(CWD, &path, kind, Mode::RUSR, device)?)
            }
            Step::Xattr(_, name, value) => {
                let name = format!("user.{}", char::from(*name));
                Ok(rustix::fs::setxattr(&path, name, value, XattrFlags::empty())?)
            }
        }
    }

    #[test]
    fn a_random_tree_is_mounted_as_gnu_tar_unpacks_it() {
        let cases = std::env::var("GAUFRE_TREE_CASES").map_or(16, |cases| cases.parse().unwrap());
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let steps = prop::collection::vec(step(), 1..60);
        let made = TestRunner::new(config).run(&(steps, any::<bool>()), |(steps, is_sparse)| {
            let tree = tempfile::tempdir().unwrap();
            for step in &steps {
                let _ = make(tree.path(), step);
            }
            let mut options = vec!["--format=posix", "--xattrs", "--mtime=@1700000000"];
            if is_sparse {
                options.push("--sparse");
            }
            let layer = Layer::of_tree(tree.path(), &options);
            let mounted = layer.mount();
            assert_same(&layer.unpack(), &mounted.root());
            // mkfs.erofs takes no sparse files from archives.
            if !is_sparse {
                assert_same(&layer.mount_of_mkfs().root(), &mounted.root());
            }
            Ok(())
        });
        made.unwrap();
    }
}
