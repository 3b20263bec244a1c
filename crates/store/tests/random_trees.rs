//! Random trees, packed by GNU tar, come out of the store as they went in.

#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::Path;

    use proptest::prelude::*;

    use crate::support::{TestStore, assert_same_tree};

    /// One thing to make; names repeat, so that directories fill and links find targets.
    #[derive(Debug, Clone)]
    enum Step {
        Directory(String, u32),
        File(String, Vec<u8>, u32, u32),
        Symlink(String, String),
        HardLink(String, String),
    }

    fn path() -> impl Strategy<Value = String> {
        proptest::collection::vec("[a-c]|é|[a-z ]{1,8}|n{60,120}", 1..5).prop_map(|parts| parts.join("/"))
    }

    fn step() -> impl Strategy<Value = Step> {
        let content = proptest::collection::vec(any::<u8>(), 0..2000);
        prop_oneof![
            (path(), 0_u32..0o10000).prop_map(|(path, mode)| Step::Directory(path, mode)),
            (path(), content, 0_u32..0o10000, 0_u32..3_000_000)
                .prop_map(|(path, content, mode, owner)| Step::File(path, content, mode, owner)),
            (path(), path()).prop_map(|(path, target)| Step::Symlink(path, target)),
            (path(), path()).prop_map(|(path, target)| Step::HardLink(path, target)),
        ]
    }

    /// Steps that do not fit what is there are left out: any tree will do.
    fn make(root: &Path, step: &Step) -> std::io::Result<()> {
        let (Step::Directory(path, _)
        | Step::File(path, ..)
        | Step::Symlink(path, _)
        | Step::HardLink(path, _)) = step;
        let path = root.join(path);
        // Through a link a step could leave the tree.
        if path.ancestors().take_while(|above| *above != root).any(Path::is_symlink) {
            return Ok(());
        }
        fs::create_dir_all(path.parent().unwrap_or(root))?;
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
            Step::Symlink(_, target) => symlink(target, &path),
            Step::HardLink(_, target) => fs::hard_link(root.join(target), &path),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_random_tree_comes_out_as_it_went_in(
            steps in proptest::collection::vec(step(), 1..25),
            posix in any::<bool>(),
        ) {
            let test = TestStore::new();
            let tree = tempfile::tempdir().unwrap();
            for step in &steps {
                let _ = make(tree.path(), step);
            }
            let format = if posix { "--format=posix" } else { "--format=gnu" };
            let (diff_id, outcome) = test.add(&test.tar(tree.path(), &[format]));
            outcome.unwrap();
            assert_same_tree(tree.path(), &test.layer_tree(&diff_id), false);
            prop_assert!(test.store.check(false).unwrap().is_sound());
        }

        #[test]
        fn a_flipped_bit_never_panics_and_leaves_no_trace(at in any::<proptest::sample::Index>(), bit in 0_u32..8) {
            let test = TestStore::new();
            let tree = tempfile::tempdir().unwrap();
            fs::write(tree.path().join("file"), vec![3; 3000]).unwrap();
            symlink("file", tree.path().join("link")).unwrap();
            let mut tar = test.tar(tree.path(), &["--format=posix"]);
            let diff_id = crate::support::digest_of(&tar);
            let at = at.index(tar.len());
            tar[at] ^= 1_u8 << bit;
            let lease = test.store.lease().unwrap();
            prop_assert!(test.store.add_layer(&lease, &diff_id, tar.as_slice(), &Default::default()).is_err());
            test.assert_no_trace(&diff_id);
        }
    }
}
