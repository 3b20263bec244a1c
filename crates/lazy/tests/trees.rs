//! Layers that GNU tar made: mounted through their index, they are what GNU tar unpacks.

mod support;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, SystemTime};

    use rustix::fs::XattrFlags;

    use crate::support::archive::Archive;
    use crate::support::tree::{assert_same, assert_same_but, describe, xattrs};
    use crate::support::{Layer, run};

    /// A tree with everything that GNU tar can carry.
    fn make_tree(root: &Path) {
        fs::create_dir_all(root.join("etc/deep/er")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
        fs::hard_link(root.join("etc/passwd"), root.join("etc/deep/linked")).unwrap();
        fs::write(root.join("etc/empty"), "").unwrap();
        symlink("../../nowhere", root.join("etc/deep/er/broken")).unwrap();
        symlink("/etc/passwd", root.join("absolute")).unwrap();
        for len in [450, 479, 480, 481, 511, 512, 513, 1024, 3000, 4095] {
            symlink("t".repeat(len), root.join(format!("etc/link-{len}"))).unwrap();
        }
        fs::hard_link(root.join("etc/link-512"), root.join("linked-link")).unwrap();
        for (number, len) in [1, 30, 100, 101, 200, 255].into_iter().enumerate() {
            fs::write(root.join("etc").join("n".repeat(len)), vec![7_u8; number * 60_001]).unwrap();
        }
        // Names that sort before `.` and between `.` and `..`.
        for name in ["!", "-", ".-", "..-", "...", "/~"] {
            fs::write(root.join(format!("etc/deep/{name}")), name).unwrap();
        }
        fs::create_dir(root.join("many")).unwrap();
        for number in 0..700 {
            fs::write(root.join(format!("many/{}{number}", "x".repeat(number % 90))), "").unwrap();
        }
        fs::write(root.join("set-id"), "x").unwrap();
        chown(root.join("set-id"), Some(1_000_000_000), Some(u32::MAX - 1)).unwrap();
        fs::set_permissions(root.join("set-id"), fs::Permissions::from_mode(0o6755)).unwrap();
        let sparse = fs::File::create(root.join("sparse")).unwrap();
        for at in [1 << 20, (3 << 20) + 512, 9 << 20] {
            sparse.write_all_at(&[9; 5000], at).unwrap();
        }
        sparse.set_len((20 << 20) + 77).unwrap();
        fs::File::create(root.join("hole")).unwrap().set_len(10 << 20).unwrap();
        run(Command::new("mkfifo").arg(root.join("fifo")));
        run(Command::new("mknod").arg(root.join("null")).args(["c", "1", "3"]));
        run(Command::new("mknod").arg(root.join("disk")).args(["b", "4095", "1048575"]));
        let long = "v".repeat(2000);
        for (path, name, value) in [
            ("set-id", "user.note", "hello"),
            ("set-id", "user.empty", ""),
            ("etc", "user.shared", "the same for several files"),
            ("etc/deep", "user.shared", "the same for several files"),
            ("etc/passwd", "user.shared", "the same for several files"),
            ("many", "user.long", &long),
        ] {
            rustix::fs::setxattr(root.join(path), name, value.as_bytes(), XattrFlags::empty()).unwrap();
        }
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        fs::File::open(root.join("etc/passwd")).unwrap().set_modified(time).unwrap();
        let before = SystemTime::UNIX_EPOCH - Duration::new(1_000_000, 500_000_000);
        fs::File::open(root.join("sparse")).unwrap().set_modified(before).unwrap();
        fs::set_permissions(root.join("etc/deep"), fs::Permissions::from_mode(0o1500)).unwrap();
        fs::set_permissions(root, fs::Permissions::from_mode(0o751)).unwrap();
    }

    #[test]
    fn what_gnu_tar_packed_is_mounted_as_gnu_tar_unpacks_it() {
        let tree = tempfile::tempdir().unwrap();
        make_tree(tree.path());
        for format in [
            &["--format=gnu"][..],
            &["--format=posix", "--xattrs"],
            &["--format=gnu", "--sparse"],
            &["--format=posix", "--sparse", "--sparse-version=0.0"],
            &["--format=posix", "--sparse", "--sparse-version=0.1"],
            &["--format=posix", "--sparse", "--sparse-version=1.0", "--xattrs"],
            &["--format=posix", "--sparse", "--hole-detection=raw"],
        ] {
            let layer = Layer::of_tree(tree.path(), format);
            let mounted = layer.mount();
            assert_same(&layer.unpack(), &mounted.root());
            let many = fs::metadata(mounted.root().join("etc")).unwrap();
            assert_eq!(many.nlink(), 3, "{format:?}");
            assert!(layer.indexed.index_bytes < 1 << 20, "{format:?}: {:?}", layer.indexed);
        }
    }

    #[test]
    fn the_newest_mkfs_makes_an_index_with_the_same_files() {
        let tree = tempfile::tempdir().unwrap();
        make_tree(tree.path());
        let layer = Layer::of_tree(tree.path(), &["--format=posix", "--xattrs", "--mtime=@1700000000"]);
        let (ours, theirs) = (layer.mount(), layer.mount_of_mkfs());
        assert_same(&theirs.root(), &ours.root());
        let links = |root: &Path, path| fs::metadata(root.join(path)).unwrap().nlink();
        for path in ["", "etc", "etc/deep", "many"] {
            assert_eq!(links(&ours.root(), path), links(&theirs.root(), path), "{path}");
        }
        let size = fs::metadata(layer.dir.path().join("mkfs.erofs")).unwrap().len();
        assert!(
            layer.indexed.index_bytes < size * 3 / 2,
            "{} is much more than {size}",
            layer.indexed.index_bytes
        );
    }

    #[test]
    fn the_same_layer_always_gives_the_same_index() {
        let tree = tempfile::tempdir().unwrap();
        make_tree(tree.path());
        let layer = Layer::of_tree(tree.path(), &["--format=posix", "--xattrs", "--sparse"]);
        let again = Layer::of(|path| {
            fs::copy(&layer.tar, path).unwrap();
        });
        assert!(fs::read(&layer.index).unwrap() == fs::read(&again.index).unwrap());
    }

    #[test]
    fn whiteouts_and_opaque_marks_are_those_of_overlayfs() {
        let tar = Archive::default()
            .dir("etc/")
            .file("etc/.wh.gone", b"")
            .file("etc/kept", b"1")
            .file("etc/.wh.kept", b"")
            .dir("opaque/")
            .file("opaque/.wh..wh..opq", b"")
            .file("opaque/new", b"2")
            .file(".wh..wh.plnk/1.2", b"")
            .file(".wh.first", b"")
            .file("first/then", b"3");
        let layer = Layer::of_bytes(&tar.end());
        assert!(!layer.indexed.names_root && !layer.indexed.opaque_root);
        let mounted = layer.mount();
        let root = mounted.root();
        let gone = fs::symlink_metadata(root.join("etc/gone")).unwrap();
        assert!(gone.file_type().is_char_device());
        assert_eq!((gone.rdev(), gone.mode() & 0o7777, gone.nlink()), (0, 0, 1));
        assert_eq!(fs::read(root.join("etc/kept")).unwrap(), b"1");
        let mark = [("trusted.overlay.opaque".to_owned(), b"y".to_vec())].into();
        assert_eq!(xattrs(&root.join("opaque")), mark);
        assert_eq!(xattrs(&root.join("first")), mark);
        // Overlayfs lists whiteouts of a directory that only one layer has, unless this tells it to look.
        assert_eq!(xattrs(&root.join("etc")), [("trusted.overlay.origin".to_owned(), Vec::new())].into());
        assert!(xattrs(&root.join("etc/kept")).is_empty());
        let paths: Vec<_> = describe(&root).into_keys().map(|path| path.display().to_string()).collect();
        let expected = ["", "etc", "etc/gone", "etc/kept", "first", "first/then", "opaque", "opaque/new"];
        assert_eq!(paths, expected);

        let root = Layer::of_bytes(&Archive::default().file(".wh..wh..opq", b"").dir("./").end());
        assert!(root.indexed.names_root && root.indexed.opaque_root);
        assert_eq!(xattrs(&root.mount().root()), mark);
    }

    #[test]
    fn the_newest_mkfs_makes_the_same_whiteouts() {
        let tar = Archive::default()
            .dir("./")
            .dir("etc/")
            .file("etc/.wh.gone", b"")
            .dir("opaque/")
            .file("opaque/.wh..wh..opq", b"")
            .file("opaque/new", b"2");
        let layer = Layer::of_bytes(&tar.end());
        let (ours, theirs) = (layer.mount(), layer.mount_of_mkfs());
        // A whiteout's permissions are what its entry says there, none here; overlayfs asks for neither.
        assert_same_but(&theirs.root(), &ours.root(), &["etc/gone"]);
        let gone = fs::symlink_metadata(theirs.root().join("etc/gone")).unwrap();
        assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    }

    #[test]
    fn later_entries_replace_earlier_ones_and_hard_links_survive() {
        let tar = Archive::default()
            .dir("./")
            .file("a", b"old")
            .hard_link("kept", "a")
            .file("a", b"new")
            .dir("d/")
            .file("d/x", b"lost")
            .hard_link("saved", "d/x")
            .symlink("d", "elsewhere")
            .symlink("l", "real")
            .dir("real/")
            .file("l/through", b"1")
            .file("real/file", b"2")
            .dir("real/file/")
            .file("real/file/below", b"3");
        let layer = Layer::of_bytes(&tar.end());
        let mounted = layer.mount();
        let root = mounted.root();
        for (path, content) in [
            ("a", "new"),
            ("kept", "old"),
            ("saved", "lost"),
            ("real/through", "1"),
            ("real/file/below", "3"),
        ] {
            assert_eq!(fs::read_to_string(root.join(path)).unwrap(), content, "{path}");
            assert_eq!(fs::metadata(root.join(path)).unwrap().nlink(), 1, "{path}");
        }
        assert_eq!(fs::read_link(root.join("d")).unwrap(), Path::new("elsewhere"));
        assert_eq!(describe(&root).len(), 10);
    }

    #[test]
    fn sparse_files_with_edges_anywhere_have_the_right_content() {
        // No tool makes such pieces: they begin and end within blocks of the file, also within the same one.
        let map = "0,512,700,1024,5000,512,5512,512,1048576,3072,3000000,102400,9999999,1";
        let stored = 512 + 1024 + 512 + 512 + 3072 + 102_400 + 1;
        let data: Vec<u8> =
            (0..stored).map(|at: u32| at.to_le_bytes()[0] ^ at.to_le_bytes()[1] | 1).collect();
        let tar = Archive::default()
            .dir("./")
            .pax(&[
                ("GNU.sparse.major", b"0"),
                ("GNU.sparse.minor", b"1"),
                ("GNU.sparse.size", b"10000000"),
                ("GNU.sparse.numblocks", b"7"),
                ("GNU.sparse.map", map.as_bytes()),
            ])
            .file("sparse", &data)
            .file("behind", b"whole");
        let layer = Layer::of_bytes(&tar.end());
        let mounted = layer.mount();
        assert_same(&layer.unpack(), &mounted.root());
        assert!(layer.indexed.index_bytes < 300_000, "{:?}", layer.indexed);
    }
}
