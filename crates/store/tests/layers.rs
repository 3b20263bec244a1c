//! Layers made by GNU tar, unpacked and compared with what they were made of.

#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use gaufre_store::{LayerOutcome, RootfsRequest};

    use crate::support::{Tar, TestStore, assert_same_tree, run};

    /// A tree with everything that GNU tar can carry.
    fn make_tree(root: &std::path::Path) {
        fs::create_dir_all(root.join("etc/deep/er")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        fs::hard_link(root.join("etc/passwd"), root.join("etc/deep/linked")).unwrap();
        symlink("../../nowhere", root.join("etc/deep/er/broken")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        fs::write(root.join(format!("etc/{}", "n".repeat(200))), vec![7_u8; 300_000]).unwrap();
        fs::write(root.join("set-id"), "x").unwrap();
        std::os::unix::fs::chown(root.join("set-id"), Some(1000), Some(70_000)).unwrap();
        fs::set_permissions(root.join("set-id"), fs::Permissions::from_mode(0o6755)).unwrap();
        let sparse = fs::File::create(root.join("sparse")).unwrap();
        for at in [1 << 20, 3 << 20, 9 << 20] {
            std::os::unix::fs::FileExt::write_all_at(&sparse, &[9; 5000], at).unwrap();
        }
        sparse.set_len(20 << 20).unwrap();
        run("mkfifo", &[root.join("fifo").to_str().unwrap()]);
        run("mknod", &[root.join("null").to_str().unwrap(), "c", "1", "3"]);
        run("mknod", &[root.join("disk").to_str().unwrap(), "b", "7", "200"]);
        let set = root.join("set-id");
        rustix::fs::setxattr(&set, "user.note", b"hello", rustix::fs::XattrFlags::empty()).unwrap();
        rustix::fs::setxattr(&set, "user.empty", b"", rustix::fs::XattrFlags::empty()).unwrap();
        fs::set_permissions(root.join("etc/deep"), fs::Permissions::from_mode(0o1500)).unwrap();
        fs::set_permissions(root, fs::Permissions::from_mode(0o751)).unwrap();
    }

    #[test]
    fn what_gnu_tar_packed_comes_out_as_it_went_in() {
        for format in [
            &["--format=gnu"][..],
            &["--format=posix", "--xattrs"],
            &["--format=gnu", "--sparse"],
            &["--format=posix", "--sparse", "--sparse-version=0.0"],
            &["--format=posix", "--sparse", "--sparse-version=0.1"],
            &["--format=posix", "--sparse", "--sparse-version=1.0", "--xattrs"],
        ] {
            let test = TestStore::new();
            let tree = tempfile::tempdir().unwrap();
            make_tree(tree.path());
            let tar = test.tar(tree.path(), format);
            let (diff_id, outcome) = test.add(&tar);
            let LayerOutcome::Added(info) = outcome.unwrap() else { panic!("it was there already") };
            assert_eq!(info.diff_id, diff_id);
            assert_same_tree(tree.path(), &test.layer_tree(&diff_id), format.contains(&"--xattrs"));
            let sparse = fs::metadata(test.layer_tree(&diff_id).join("sparse")).unwrap();
            if format.contains(&"--sparse") {
                assert!(sparse.blocks() * 512 < 1 << 20, "{format:?}: the holes are filled");
            }
            assert!(matches!(test.add(&tar).1.unwrap(), LayerOutcome::Present(_)));
        }
    }

    #[test]
    fn a_root_filesystem_shows_the_layers_and_takes_changes() {
        let test = TestStore::new();
        let lower = tempfile::tempdir().unwrap();
        make_tree(lower.path());
        let upper = tempfile::tempdir().unwrap();
        fs::create_dir(upper.path().join("etc")).unwrap();
        fs::write(upper.path().join("etc/.wh.passwd"), "").unwrap();
        fs::write(upper.path().join("etc/new"), "new").unwrap();
        fs::create_dir(upper.path().join("opaque")).unwrap();
        let (bottom, outcome) = test.add(&test.tar(lower.path(), &["--format=posix"]));
        outcome.unwrap();
        let (top, outcome) = test.add(&test.tar_of(upper.path(), &["etc", "opaque"], &[]));
        outcome.unwrap();
        let layers = [bottom, top];
        let dir = test.store.sandbox_dir("one").unwrap();
        for sandbox_dir in [Some(dir.as_path()), None] {
            let request = RootfsRequest { layers: &layers, sandbox_dir, volatile: true };
            let mount = test.store.mount_rootfs(&request).unwrap();
            let root = std::path::PathBuf::from(format!("/proc/self/fd/{}", mount.as_raw_fd()));
            assert!(!root.join("etc/passwd").exists());
            assert_eq!(fs::read_to_string(root.join("etc/new")).unwrap(), "new");
            assert_eq!(fs::metadata(root.join(".")).unwrap().mode() & 0o7777, 0o751);
            assert_eq!(fs::write(root.join("etc/x"), "x").is_ok(), sandbox_dir.is_some());
        }
        assert!(!test.layer_tree(&layers[1]).join("etc/x").exists());
    }

    #[test]
    fn a_whiteout_in_a_directory_that_no_other_layer_has_is_not_listed() {
        let test = TestStore::new();
        let mut layers = Vec::new();
        for tar in [Tar::default().file("a", b"1"), Tar::default().dir("own/").file("own/.wh.gone", b"")] {
            let (diff_id, outcome) = test.add(&tar.end());
            outcome.unwrap();
            layers.push(diff_id);
        }
        let request = RootfsRequest { layers: &layers, sandbox_dir: None, volatile: false };
        let mount = test.store.mount_rootfs(&request).unwrap();
        let own = std::path::PathBuf::from(format!("/proc/self/fd/{}/own", mount.as_raw_fd()));
        assert_eq!(fs::read_dir(own).unwrap().count(), 0);
        assert!(test.store.check(false).unwrap().is_sound());
    }

    #[test]
    fn whiteouts_hide_lower_layers_only_whatever_the_order_is() {
        let test = TestStore::new();
        let tar = |tar: Tar| {
            let (diff_id, outcome) = test.add(&tar.end());
            outcome.unwrap();
            diff_id
        };
        let bottom = tar(Tar::default().file("gone/a", b"1").file("merged/a", b"1").file("same", b"1"));
        let middle = tar(Tar::default()
            .file("same", b"2")
            .file(".wh.same", b"")
            .file(".wh.gone", b"")
            .file("gone/b", b"2")
            .file("merged/b", b"2"));
        let top = tar(Tar::default().file(".wh..wh..opq", b"").file("only", b"3"));
        let show = |layers: &[oci_spec::image::Digest]| {
            let request = RootfsRequest { layers, sandbox_dir: None, volatile: false };
            let mount = test.store.mount_rootfs(&request).unwrap();
            let root = std::path::PathBuf::from(format!("/proc/self/fd/{}/.", mount.as_raw_fd()));
            crate::support::describe(&root, false)
                .into_keys()
                .filter(|path| path.as_os_str() != "")
                .collect::<Vec<_>>()
        };
        let paths = |list: &[&str]| list.iter().map(std::path::PathBuf::from).collect::<Vec<_>>();
        let both = [bottom.clone(), middle.clone()];
        assert_eq!(show(&both), paths(&["gone", "gone/b", "merged", "merged/a", "merged/b", "same"]));
        assert_eq!(show(&[bottom, middle, top]), paths(&["only"]));
        assert!(show(&[]).is_empty());
        assert!(test.store.check(false).unwrap().findings.is_empty());
    }
}
