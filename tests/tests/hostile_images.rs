//! Images made to reach the host, from the command line; the store's and the runtime's own tests go deeper.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, run, tool};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::{Path, PathBuf};

    /// A directory of the host that a container is not to change, with a file in it.
    fn treasure(gaufre: &Gaufre) -> PathBuf {
        let dir = gaufre.dir().join("treasure");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("file"), "the host's\n").unwrap();
        dir
    }

    /// Everything that a write, a mount point made, a mode or an owner changed would show in.
    fn state(dir: &Path) -> String {
        run(tool("find").arg(dir).args(["-printf", "%p %m %U %G %y %s %T@ %C@\n"]))
    }

    /// Puts a link into the image where something else is expected.
    fn linked(gaufre: &Gaufre, place: &str, target: &Path) -> &'static str {
        let image = Crafted::busybox().layer(|root| {
            let place = root.join(place);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            symlink(target, place).unwrap();
        });
        image.load(gaufre, "example.com/linked:1")
    }

    #[test]
    fn links_in_an_image_where_we_mount_or_write_do_not_lead_to_the_host() {
        let gaufre = Gaufre::new();
        let treasure = treasure(&gaufre);
        let ptmx = fs::metadata("/dev/ptmx").unwrap();
        let before = state(&treasure);
        let file = treasure.join("file");
        for (place, target) in [
            ("proc", treasure.as_path()),
            ("sys", &treasure),
            ("dev", &treasure),
            ("proc", Path::new("/")),
            ("dev", Path::new("/../../../../dev")),
            ("etc", &treasure),
            ("run", &treasure),
            ("etc/hosts", &file),
            ("etc/resolv.conf", &file),
            ("etc/hostname", &file),
            ("dev/console", &file),
            ("dev/ptmx", &file),
            ("dev/null", &file),
            ("dev/shm", &treasure),
            ("tmp", &treasure),
            ("etc/passwd", &file),
            ("etc/group", &file),
        ] {
            let image = linked(&gaufre, place, target);
            for options in
                [&["-t"][..], &["--read-only", "-u", "0"], &["--init", "-v", "data:/tmp", "--tmpfs=/run"]]
            {
                let script = "echo ran; echo inside > /etc/hosts; echo inside > /dev/null; test -e /proc/self/status || echo NO PROC";
                let run = [&["run", "--rm"], options, &[image, "sh", "-c", script]].concat();
                let said = gaufre.say(&run);
                let refused = said.code != 0 && said.err.contains("Error: ");
                assert!(refused || said.out.contains("ran"), "{place}: {said:?}");
                assert!(!said.out.contains("NO PROC"), "{place} -> {}: {said:?}", target.display());
                assert_eq!(state(&treasure), before, "{place} -> {} {options:?}: {said:?}", target.display());
                assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "", "{place}");
            }
        }
        let after = fs::metadata("/dev/ptmx").unwrap();
        assert_eq!((after.ino(), after.mode(), after.uid()), (ptmx.ino(), ptmx.mode(), ptmx.uid()));
        gaufre.ok(&["system", "check"]);
    }

    /// A tar archive of files called `names`, as tar(1) writes them when it is told to believe every name.
    fn archive(dir: &Path, names: &[&str]) -> Vec<u8> {
        let file = dir.join("content");
        fs::write(&file, "from the layer\n").unwrap();
        let archive = dir.join("hostile.tar");
        let _ = fs::remove_file(&archive);
        for name in names {
            let transform = format!("--transform=s|.*|{name}|");
            run(tool("tar")
                .args(["-P", "-rf"])
                .arg(&archive)
                .arg(transform)
                .arg("-C")
                .arg(dir)
                .arg("content"));
        }
        fs::read(archive).unwrap()
    }

    #[test]
    fn a_layer_that_names_what_is_outside_is_refused_or_stays_inside() {
        let gaufre = Gaufre::new();
        let treasure = treasure(&gaufre);
        let dir = tempfile::tempdir().unwrap();
        let before = state(&treasure);
        let outside = treasure.join("file").display().to_string();
        let up = format!("{}{outside}", "../".repeat(20));
        for name in
            [outside.as_str(), &up, "bin/../../../../../../../../tmp/gaufre-escaped", "/../../gaufre-escaped"]
        {
            let image = Crafted::busybox().archive(&archive(dir.path(), &[name]));
            let layout = image.layout("example.com/outside:1").display().to_string();
            let said = gaufre.say(&["load", "--quiet", "--input", &layout]);
            if said.code != 0 {
                assert_eq!((said.code, said.err.matches("Error:").count()), (125, 1), "{name}: {said:?}");
                assert_eq!(gaufre.ok(&["images", "--quiet"]), "", "{name}");
            } else {
                gaufre.ok(&["rmi", "example.com/outside:1"]);
            }
            assert_eq!(state(&treasure), before, "{name}");
            assert!(!Path::new("/tmp/gaufre-escaped").exists() && !Path::new("/gaufre-escaped").exists());
        }
        // Through a link of the layer before.
        let link = Crafted::busybox().layer(|root| symlink(&treasure, root.join("way")).unwrap());
        let image = link.archive(&archive(dir.path(), &["way/file", "way/.wh.file", "way/new"]));
        let layout = image.layout("example.com/through:1").display().to_string();
        gaufre.say(&["load", "--quiet", "--input", &layout]);
        assert_eq!(state(&treasure), before);
        gaufre.ok(&["system", "check"]);
    }

    #[test]
    fn a_layer_that_decompresses_to_a_multitude_of_its_size_is_refused_but_zeros_alone_are_not() {
        let gaufre = Gaufre::new();
        let dir = tempfile::tempdir().unwrap();
        let load = |megabytes: u64| {
            fs::File::create(dir.path().join("zeros")).unwrap().set_len(megabytes << 20).unwrap();
            let pack = "tar -cf - zeros | tee archive | zstd -q -f -o layer.zst && sha256sum archive";
            let sum = run(tool("sh").args(["-c", pack]).current_dir(dir.path()));
            let diff_id = format!("sha256:{}", sum.split_whitespace().next().unwrap());
            let compressed = fs::read(dir.path().join("layer.zst")).unwrap();
            let image = Crafted::busybox().zstd_archive(&compressed, &diff_id);
            let layout = image.layout("example.com/zeros:1").display().to_string();
            (compressed.len(), gaufre.say(&["load", "--quiet", "--input", &layout]))
        };
        let (_, said) = load(300);
        assert_eq!(said.code, 0, "a file of zeros is a file: {said:?}");
        gaufre.ok(&["rmi", "example.com/zeros:1"]);

        let (compressed_bytes, said) = load(1200);
        assert_eq!((said.code, said.err.matches("Error:").count()), (125, 1), "{said:?}");
        let words = format!("{compressed_bytes} bytes compressed and more than");
        assert!(said.err.contains(&words), "{said:?}");
        assert_eq!(gaufre.ok(&["images", "--quiet"]), "");
        gaufre.ok(&["system", "check"]);
        gaufre.ok(&["system", "prune", "--all", "--force"]);
        let used = run(tool("du").arg("-sm").arg(gaufre.dir().join("root")));
        let megabytes: u32 = used.split_whitespace().next().unwrap().parse().unwrap();
        assert!(megabytes < 6, "{used}");
    }

    #[test]
    fn a_layer_that_is_a_bomb_or_cut_off_is_refused_and_leaves_no_trace() {
        let gaufre = Gaufre::new();
        gaufre.ok(&["images"]);
        let dir = tempfile::tempdir().unwrap();
        let whole = archive(dir.path(), &["one", "two"]);
        let deep = vec!["d"; 3000].join("/");
        let sparse = dir.path().join("sparse");
        fs::File::create(&sparse).unwrap().set_len(10 << 40).unwrap();
        let bomb = dir.path().join("bomb.tar");
        run(tool("tar").args(["-S", "-cf"]).arg(&bomb).arg("-C").arg(dir.path()).arg("sparse"));
        for (what, bytes) in [
            ("cut off", whole[..700].to_vec()),
            ("no archive", vec![7; 10_000]),
            ("too deep", archive(dir.path(), &[&deep])),
            ("too large", fs::read(&bomb).unwrap()),
        ] {
            let image = Crafted::busybox().archive(&bytes);
            let layout = image.layout("example.com/bomb:1").display().to_string();
            let said = gaufre.fails(125, &["load", "--quiet", "--input", &layout]);
            assert_eq!(said.matches("Error:").count(), 1, "{what}: {said}");
            assert_eq!(gaufre.ok(&["images", "--quiet"]), "", "{what}");
            gaufre.ok(&["system", "check"]);
        }
        gaufre.ok(&["system", "prune", "--all", "--force"]);
        let used = run(tool("du").arg("-sm").arg(gaufre.dir().join("root")));
        let megabytes: u32 = used.split_whitespace().next().unwrap().parse().unwrap();
        assert!(megabytes < 6, "{used}");
    }
}
