//! Layers that mean harm, or are broken: nothing outside the layer changes and nothing is left of them.

#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::path::Path;
    use std::process::Command;

    use gaufre_store::LayerLimits;

    use crate::support::{Tar, TestStore, digest_of};

    /// The whole chain of an error, as a user would see it.
    fn chain(error: &dyn Error) -> String {
        let mut text = error.to_string();
        let mut next = error.source();
        while let Some(error) = next {
            text += &format!(": {error}");
            next = error.source();
        }
        text
    }

    /// The layer is refused with an error that says `why`, and leaves nothing.
    fn assert_refused(tar: &[u8], why: &str) {
        assert_refused_within(tar, &LayerLimits::default(), why);
    }

    fn assert_refused_within(tar: &[u8], limits: &LayerLimits, why: &str) {
        let test = TestStore::new();
        let (diff_id, outcome) = test.add_within(tar, limits);
        let error = chain(&outcome.expect_err(why));
        assert!(error.contains(why), "{error:?} does not say {why:?}");
        test.assert_no_trace(&diff_id);
    }

    #[test]
    fn a_name_that_leads_out_of_the_layer_is_refused() {
        for name in ["../evil", "a/../../evil", "/../evil", "a/.."] {
            assert_refused(&Tar::default().file(name, b"x").end(), "contains ..");
        }
    }

    #[test]
    fn an_absolute_name_stays_in_the_layer() {
        let test = TestStore::new();
        let name = format!("/gaufre-test-{}", std::process::id());
        let (diff_id, outcome) = test.add(&Tar::default().file(&name, b"x").end());
        outcome.unwrap();
        assert!(test.layer_tree(&diff_id).join(&name[1..]).exists());
        assert!(!Path::new(&name).exists());
    }

    #[test]
    fn nothing_is_written_through_a_link_to_the_outside() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().to_str().unwrap();
        let up = format!("../../../../../../../../../../..{target}");
        for target in [target, up.as_str()] {
            assert_refused(
                &Tar::default().symlink("out", target).file("out/evil", b"x").end(),
                "broken link",
            );
            assert_refused(
                &Tar::default().symlink("out", target).file("out/.wh.evil", b"").end(),
                "broken link",
            );
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_whiteout_through_a_link_hides_nothing_outside() {
        let test = TestStore::new();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "x").unwrap();
        let inner = outside.path().to_str().unwrap().trim_start_matches('/');
        let tar = Tar::default()
            .dir(inner)
            .symlink("out", outside.path().to_str().unwrap())
            .file("out/.wh.precious", b"")
            .file("out/.wh..wh..opq", b"");
        let (diff_id, outcome) = test.add(&tar.end());
        outcome.unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("precious")).unwrap(), "x");
        let hidden = test.layer_tree(&diff_id).join(inner).join("precious");
        assert!(fs::symlink_metadata(hidden).unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_file_that_replaces_a_link_does_not_change_what_the_link_points_at() {
        let test = TestStore::new();
        let outside = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "whole").unwrap();
        let tar = Tar::default().symlink("name", victim.to_str().unwrap()).file("name", b"other").end();
        let (diff_id, outcome) = test.add(&tar);
        outcome.unwrap();
        assert_eq!(fs::read_to_string(victim).unwrap(), "whole");
        assert_eq!(fs::read_to_string(test.layer_tree(&diff_id).join("name")).unwrap(), "other");
    }

    #[test]
    fn a_hard_link_through_a_link_is_refused() {
        let tar = Tar::default().symlink("etc", "/etc").hard_link("stolen", "etc/passwd").end();
        assert_refused(&tar, "cannot make the hard link");
        let tar = Tar::default().dir("a").file("a/f", b"x").symlink("b", "a").hard_link("c", "b/f").end();
        assert_refused(&tar, "cannot make the hard link");
        assert_refused(&Tar::default().hard_link("a", "../../etc/passwd").end(), "contains ..");
        assert_refused(&Tar::default().dir("d").hard_link("a", "d").end(), "no file");
    }

    #[test]
    fn a_root_that_is_no_directory_is_refused() {
        assert_refused(&Tar::default().symlink(".", "/etc").end(), "must be a directory");
        assert_refused(&Tar::default().file("./", b"x").end(), "data of its own");
        assert_refused(&Tar::default().raw(b'3', "./", "", 0, b"").end(), "must be a directory");
    }

    #[test]
    fn a_device_node_is_a_device_node() {
        let test = TestStore::new();
        let (diff_id, outcome) = test.add(&Tar::default().raw(b'3', "dev/null", "", 0, b"").end());
        outcome.unwrap();
        let data = fs::symlink_metadata(test.layer_tree(&diff_id).join("dev/null")).unwrap();
        assert_eq!(data.rdev(), rustix::fs::makedev(1, 3));
        let parent = fs::metadata(test.layer_tree(&diff_id).join("dev")).unwrap();
        assert_eq!((parent.mode() & 0o7777, parent.uid()), (0o755, 0));
    }

    #[test]
    fn attributes_that_steer_the_kernel_are_dropped_and_capabilities_kept() {
        let test = TestStore::new();
        let capability = "\u{1}\0\0\u{2}\0\u{4}\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let tar = Tar::default()
            .pax(&[
                ("SCHILY.xattr.trusted.overlay.redirect", "/../../etc"),
                ("SCHILY.xattr.user.overlay.opaque", "y"),
                ("SCHILY.xattr.security.selinux", "system_u"),
                ("SCHILY.xattr.user.empty", ""),
                ("SCHILY.xattr.security.capability", capability),
            ])
            .file("f", b"x");
        let (diff_id, outcome) = test.add(&tar.end());
        outcome.unwrap();
        let mut list = vec![0_u8; 4096];
        let path = test.layer_tree(&diff_id).join("f");
        let len = rustix::fs::llistxattr(&path, &mut list[..]).unwrap();
        let mut names: Vec<_> =
            list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
        names.sort();
        assert_eq!(names, [&b"security.capability"[..], b"user.empty"]);
        assert!(test.store.check(false).unwrap().is_sound());
    }

    #[test]
    fn of_two_sizes_that_disagree_the_one_that_gnu_tar_takes_counts() {
        // By its ustar size `a` ends before a hidden header; by its PAX size the header is its data.
        let hidden = Tar::default().file("hidden", b"").0;
        let tar = Tar::default()
            .pax(&[("size", &hidden.len().to_string())])
            .raw(b'0', "a", "", 0, &hidden)
            .file("b", b"x")
            .end();
        let test = TestStore::new();
        let archive = test.dir.path().join("layer.tar");
        fs::write(&archive, &tar).unwrap();
        let listed = Command::new("tar").arg("-tf").arg(&archive).output().unwrap();
        let mut listed: Vec<_> =
            std::str::from_utf8(&listed.stdout).unwrap().lines().map(str::to_owned).collect();
        listed.sort();
        let (diff_id, outcome) = test.add(&tar);
        outcome.unwrap();
        let entries = fs::read_dir(test.layer_tree(&diff_id)).unwrap();
        let mut found: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        assert_eq!(found, listed);
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn headers_that_tools_read_in_different_ways_are_refused() {
        let data = [b'x'; 512];
        assert_refused(&Tar::default().raw(b'2', "l", "t", 512, &data).end(), "data of its own");
        assert_refused(&Tar::default().raw(b'5', "d", "", 512, &data).end(), "data of its own");
        let tar = Tar::default().pax(&[("size", "512")]).raw(b'1', "h", "f", 0, &data).end();
        assert_refused(&tar, "data of its own");
        let tar = Tar::default().pax(&[("path", "a")]).raw(b'L', "x", "", 2, b"b\0").file("c", b"").end();
        assert_refused(&tar, "contradict");
        let tar = Tar::default().pax(&[("path", "a")]).pax(&[("path", "b")]).file("c", b"").end();
        assert_refused(&tar, "contradict");
        let global = Tar::default().raw(b'g', "g", "", 11, b"11 path=abc").file("c", b"").end();
        assert_refused(&global, "malformed");
        let global = Tar::default().raw(b'g', "g", "", 12, b"12 path=abc\n").file("c", b"").end();
        assert_refused(&global, "global PAX header");
        assert_refused(&Tar::default().pax(&[("path", "a")]).end(), "followed by no entry");
        assert_refused(&Tar::default().raw(b'M', "m", "", 0, b"").end(), "cannot be part of a layer");
        let mut lone = Tar::default().file("a", b"x").0;
        lone.resize(lone.len() + 512, 0);
        lone.extend(Tar::default().file("b", b"x").end());
        assert_refused(&lone, "single zero block");
        let mut damaged = Tar::default().file("a", b"x").end();
        damaged[0] ^= 1;
        assert_refused(&damaged, "checksum");
    }

    #[test]
    fn a_truncated_layer_is_refused_and_leaves_no_trace() {
        let tar = Tar::default().file("a", &[7; 3000]).end();
        assert_refused(&tar[..1000], "cut off");
        assert_refused(&tar[..300], "cut off");
    }

    #[test]
    fn a_layer_with_another_diff_id_is_refused_and_leaves_no_trace() {
        let test = TestStore::new();
        let tar = Tar::default().file("a", b"x").end();
        let other = digest_of(b"other");
        let lease = test.store.lease().unwrap();
        let mut longer = tar.clone();
        longer.extend([0; 512]);
        for stream in [&tar, &longer] {
            let outcome = test.store.add_layer(&lease, &other, stream.as_slice(), &LayerLimits::default());
            assert!(chain(&outcome.unwrap_err()).contains("has the diff ID"));
            test.assert_no_trace(&other);
        }
    }

    #[test]
    fn bombs_are_refused_before_they_fill_the_disk() {
        let limits = LayerLimits { bytes: 1 << 20, entries: 100, depth: 8, ..LayerLimits::default() };
        let zeros = Tar::default().file("zeros", &vec![0; 2 << 20]).end();
        assert_refused_within(&zeros, &limits, "limit of 1048576 bytes");
        let sparse = Tar::default()
            .pax(&[
                ("GNU.sparse.major", "0"),
                ("GNU.sparse.minor", "1"),
                ("GNU.sparse.size", "9000000000000000000"),
                ("GNU.sparse.map", "0,1"),
            ])
            .file("s", b"x")
            .end();
        assert_refused_within(&sparse, &limits, "limit of 1048576 bytes");
        let many = (0..200).fold(Tar::default(), |tar, number| tar.file(&format!("f{number}"), b"")).end();
        assert_refused_within(&many, &limits, "limit of 100 files");
        assert_refused_within(
            &Tar::default().dir("a/b/c/d/e/f/g/h/i/j").end(),
            &limits,
            "levels of directories",
        );
        let long = "n".repeat(300);
        assert_refused(&Tar::default().pax(&[("path", &long)]).file("f", b"").end(), "bytes in a name");
        let long = "n/".repeat(3000);
        assert_refused(&Tar::default().pax(&[("path", &long)]).file("f", b"").end(), "bytes in a path");
        let hundredfold = LayerLimits::for_compressed(5 << 20);
        let limit_bytes = (1_u64 << 30) + 100 * (5 << 20);
        let bomb = Tar::default().raw(b'0', "zeros", "", limit_bytes + 1, b"").end();
        assert_refused_within(&bomb, &hundredfold, &format!("more than {limit_bytes} unpacked"));
        // What it claims is no more than it may be, but it is not there.
        let small = Tar::default().raw(b'0', "zeros", "", limit_bytes, b"").end();
        assert_refused_within(&small, &hundredfold, "cut off");
        let huge = Tar::default().raw(b'x', "x", "", 1 << 30, b"").end();
        assert_refused(&huge, "longer than");
    }

    #[test]
    fn a_full_disk_gives_one_error_that_names_it_and_leaves_nothing() {
        let test = TestStore::new();
        let small = test.dir.path().join("small");
        fs::create_dir(&small).unwrap();
        crate::support::run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", small.to_str().unwrap()]);
        let result = std::panic::catch_unwind(|| {
            let store = crate::support::open(&small);
            let tar = Tar::default().file("a", &vec![1; 3 << 20]).end();
            let lease = store.lease().unwrap();
            let outcome = store.add_layer(&lease, &digest_of(&tar), tar.as_slice(), &LayerLimits::default());
            let error = outcome.unwrap_err();
            assert!(error.hint().is_some());
            assert!(chain(&error).contains(small.to_str().unwrap()), "{}", chain(&error));
            assert!(chain(&error).contains("full"));
            for part in ["layers", "staging"] {
                assert_eq!(fs::read_dir(store.root().join(part)).unwrap().count(), 0, "{part}");
            }
            let tar = Tar::default().file("a", &[1; 100]).end();
            store.add_layer(&lease, &digest_of(&tar), tar.as_slice(), &LayerLimits::default()).unwrap();
        });
        crate::support::run("umount", &[small.to_str().unwrap()]);
        result.unwrap();
    }

    #[test]
    fn a_root_that_cannot_be_written_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let options = gaufre_store::StoreOptions { root: file.join("root"), run: dir.path().join("run") };
        let error = gaufre_store::Store::open(options).unwrap_err();
        assert!(error.to_string().contains("file/root"));
        assert!(!error.hint().is_empty());
    }
}
