//! What is mounted into a sandbox: from the host, from volumes, from memory.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, Witness, run, tool, until};
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    fn ready() -> (Gaufre, String) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        (gaufre, image)
    }

    /// Runs `script` in a new sandbox with `options`, split at spaces.
    fn inside(gaufre: &Gaufre, image: &str, options: &str, script: &str) -> gaufre_tests::Said {
        let mut arguments = vec!["run", "--rm", "--network=none"];
        arguments.extend(options.split_whitespace());
        arguments.extend([image, "bash", "-c", script]);
        gaufre.say(&arguments)
    }

    fn volumes(gaufre: &Gaufre) -> Vec<String> {
        let entries = fs::read_dir(gaufre.dir().join("root/volumes")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn data(gaufre: &Gaufre, name: &str) -> PathBuf {
        gaufre.dir().join("root/volumes").join(name).join("_data")
    }

    #[test]
    fn a_directory_or_file_of_the_host_is_shown_and_written_unless_read_only() {
        let (gaufre, image) = ready();
        let host = gaufre.dir().join("host");
        fs::create_dir(&host).unwrap();
        fs::write(host.join("file"), "content\n").unwrap();
        let at = |options: &str| format!("-v {}:/data{options}", host.display());
        assert_eq!(inside(&gaufre, &image, &at(""), "cat /data/file; echo new > /data/new").out, "content\n");
        assert_eq!(fs::read_to_string(host.join("new")).unwrap(), "new\n");
        let said = inside(&gaufre, &image, &at(":ro"), "cat /data/new; touch /data/x");
        assert!(said.code != 0 && said.out == "new\n" && said.err.contains("Read-only"), "{said:?}");
        let file = format!("-v {}/file:/etc/one-file", host.display());
        assert_eq!(inside(&gaufre, &image, &file, "cat /etc/one-file").out, "content\n");
        // Relative to where the user is.
        let mut command = gaufre.command();
        command.current_dir(gaufre.dir()).args([
            "run",
            "--rm",
            "--network=none",
            "-v",
            "./host:/data",
            &image,
        ]);
        assert_eq!(command.args(["cat", "/data/file"]).output().unwrap().stdout, b"content\n");
        let noexec = inside(&gaufre, &image, &at(":noexec"), "cp /bin/true /data/t; /data/t");
        assert_eq!(noexec.code, 126, "{noexec:?}");
    }

    #[test]
    fn a_source_that_is_missing_or_a_place_that_is_none_is_refused() {
        let (gaufre, image) = ready();
        for (volume, part) in [
            ("/no/such/place:/data", "/no/such/place"),
            ("./nor/this:/data", "nor/this"),
            ("name:relative", "relative"),
            ("a/b:/data", "a/b"),
            ("/tmp:/", "/"),
            ("/tmp:/data:sideways", "sideways"),
        ] {
            let said = inside(&gaufre, &image, &format!("-v {volume}"), "true");
            assert!(said.code == 125 && said.err.contains(part), "{volume}: {said:?}");
            assert_eq!(gaufre.ok(&["ps", "-aq"]), "");
        }
        assert!(volumes(&gaufre).is_empty());
        let said = inside(&gaufre, &image, "-v /tmp:/data -v /usr:/data", "true");
        assert!(said.code == 125 && said.err.contains("/data"), "{said:?}");
    }

    #[test]
    fn a_named_volume_is_made_at_first_use_filled_once_and_kept() {
        let (gaufre, image) = ready();
        let said = inside(
            &gaufre,
            &image,
            "-v kept:/etc",
            "ls /etc/passwd; echo changed > /etc/issue; chown 5:6 /etc/issue",
        );
        assert_eq!(said.out, "/etc/passwd\n", "{said:?}");
        assert_eq!(volumes(&gaufre), ["kept"]);
        let issue = fs::metadata(data(&gaufre, "kept").join("issue")).unwrap();
        assert_eq!((issue.uid(), issue.gid()), (5, 6));
        assert_eq!(inside(&gaufre, &image, "-v kept:/etc:ro", "cat /etc/issue").out, "changed\n");
        assert_eq!(inside(&gaufre, &image, "-v bare:/etc:nocopy", "ls -A /etc | grep -c passwd").out, "0\n");
        // Two at once share it.
        let id = gaufre.ok(&["run", "-d", "--network=none", "-v", "kept:/data", &image, "sleep", "1000"]);
        inside(&gaufre, &image, "-v kept:/data", "echo shared > /data/from-other");
        assert_eq!(gaufre.ok(&["exec", id.trim(), "cat", "/data/from-other"]), "shared\n");
        gaufre.ok(&["rm", "-f", "-v", "--time=0", id.trim()]);
        assert!(volumes(&gaufre).contains(&"kept".to_owned()));
    }

    #[test]
    fn the_owner_and_mode_of_the_images_directory_go_along() {
        let (gaufre, image) = ready();
        let said = inside(&gaufre, &image, "-v t:/tmp -v r:/root", "stat -c '%a %u' /tmp /root");
        assert_eq!(said.out, "1777 0\n700 0\n", "{said:?}");
    }

    #[test]
    fn a_volume_without_a_name_goes_with_its_sandbox() {
        let (gaufre, image) = ready();
        assert_eq!(inside(&gaufre, &image, "-v /data", "touch /data/x; ls /data").out, "x\n");
        assert!(volumes(&gaufre).is_empty(), "--rm left {:?}", volumes(&gaufre));
        let create = |name: &str| {
            let name = format!("--name={name}");
            gaufre.ok(&["run", &name, "--network=none", "-v", "/data", &image, "touch", "/data/x"]);
        };
        create("with");
        assert_eq!(volumes(&gaufre).len(), 1);
        gaufre.ok(&["start", "--attach", "with"]);
        assert_eq!(volumes(&gaufre).len(), 1, "the second run made another");
        gaufre.ok(&["rm", "-v", "with"]);
        assert!(volumes(&gaufre).is_empty());
        create("without");
        gaufre.ok(&["rm", "without"]);
        assert_eq!(volumes(&gaufre).len(), 1);
        gaufre.ok(&["system", "prune", "--force", "--volumes"]);
        assert!(volumes(&gaufre).is_empty());
    }

    #[test]
    fn a_volume_without_a_name_stays_while_another_container_mounts_it() {
        let (gaufre, image) = ready();
        let script = "echo kept > /data/file; sleep 1000";
        let run = ["run", "-d", "--network=none"];
        let with = |more: &[&str]| gaufre.ok(&[&run[..], more].concat());
        with(&["--rm", "--name=first", "-v", "/data", &image, "bash", "-c", script]);
        until("the file", || {
            let found = gaufre.say(&["exec", "first", "cat", "/data/file"]);
            (found.out == "kept\n").then_some(())
        });
        let shared = format!("{}:/data", volumes(&gaufre)[0]);
        for name in ["second", "third"] {
            with(&["--name", name, "-v", &shared, &image, "sleep", "1000"]);
        }
        gaufre.ok(&["stop", "--time=0", "first"]);
        until("its removal", || gaufre.say(&["inspect", "first"]).code.ne(&0).then_some(()));
        assert_eq!(gaufre.ok(&["exec", "second", "cat", "/data/file"]), "kept\n");
        // To neither of the two it is the volume that was made for it alone.
        gaufre.ok(&["rm", "--force", "--volumes", "--time=0", "second"]);
        assert_eq!(gaufre.ok(&["exec", "third", "cat", "/data/file"]), "kept\n");
        assert_eq!(volumes(&gaufre).len(), 1);

        gaufre.ok(&["rm", "--force", "--time=0", "third"]);
        let owner = with(&["-v", "/data", &image, "sleep", "1000"]);
        let own = volumes(&gaufre).into_iter().find(|name| !shared.starts_with(name)).unwrap();
        with(&["--name=guest", "-v", &format!("{own}:/data"), &image, "sleep", "1000"]);
        // One whose definition is unreadable may be one that mounts it.
        let id = gaufre.ok(&["inspect", "--format", "{{.Id}}", "guest"]);
        let definition = gaufre.dir().join("root/sandboxes").join(id.trim()).join("definition.json");
        let whole = fs::read(&definition).unwrap();
        fs::write(&definition, "{").unwrap();
        gaufre.ok(&["rm", "--force", "--volumes", "--time=0", owner.trim()]);
        assert!(data(&gaufre, &own).exists());
        fs::write(&definition, whole).unwrap();
        gaufre.ok(&["rm", "--force", "--volumes", "--time=0", "guest"]);
        assert!(data(&gaufre, &own).exists());
    }

    #[test]
    fn a_run_that_comes_to_nothing_leaves_the_volume_that_has_a_name_as_podman_does() {
        let (gaufre, image) = ready();
        let said = inside(&gaufre, &image, "-v newly:/x -v /y --entrypoint=/nonexistent", "true");
        assert_eq!(said.code, 127, "{said:?}");
        assert_eq!(volumes(&gaufre), ["newly"]);
    }

    #[test]
    fn a_volume_in_use_survives_a_prune() {
        let (gaufre, image) = ready();
        let id = gaufre.ok(&["run", "-d", "--network=none", "-v", "used:/data", &image, "sleep", "1000"]);
        inside(&gaufre, &image, "-v unused:/data", "true");
        gaufre.ok(&["system", "prune", "--force", "--volumes"]);
        assert_eq!(volumes(&gaufre), ["used"]);
        assert_eq!(gaufre.ok(&["exec", id.trim(), "bash", "-c", "touch /data/x && ls /data"]), "x\n");
    }

    #[test]
    fn mounts_travel_as_asked() {
        let _alone = Witness::alone();
        let (gaufre, image) = ready();
        let host = gaufre.dir().join("shared");
        fs::create_dir_all(host.join("below")).unwrap();
        let path = host.to_str().unwrap();
        run(tool("mount").args(["--bind", path, path]));
        let _mounted = Mounted(path);
        run(tool("mount").args(["--make-shared", path]));
        let start = |options: &str| {
            let volume = format!("{path}:/data{options}");
            let id = gaufre.ok(&["run", "-d", "--network=none", "-v", &volume, &image, "sleep", "1000"]);
            id.trim().to_owned()
        };
        let (private, slave) = (start(""), start(":rslave"));
        let below = host.join("below");
        run(tool("mount").args(["-t", "tmpfs", "later", below.to_str().unwrap()]));
        fs::write(below.join("seen"), "").unwrap();
        assert_eq!(gaufre.ok(&["exec", &slave, "ls", "/data/below"]), "seen\n");
        assert_eq!(gaufre.ok(&["exec", &private, "ls", "/data/below"]), "");
        // A mount that was there comes along, unless it is not to.
        assert_eq!(inside(&gaufre, &image, &format!("-v {path}:/data"), "ls /data/below").out, "seen\n");
        assert_eq!(inside(&gaufre, &image, &format!("-v {path}:/data:bind"), "ls /data/below").out, "");
    }

    /// Unmounted, with what is mounted in it, when dropped, also by a test that fails.
    struct Mounted<'a>(&'a str);

    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = tool("umount").args(["--recursive", "--lazy", self.0]).output();
        }
    }

    #[test]
    fn memory_is_mounted_with_the_options_asked_for() {
        let (gaufre, image) = ready();
        let script = "stat -f -c %T /t; stat -c %a /t; df --output=size -B1 /t | tail -1; cp /bin/true /t/t; /t/t; echo $?";
        let said = inside(&gaufre, &image, "--tmpfs /t:size=1m,mode=700,exec", script);
        assert_eq!(
            said.out.split_whitespace().collect::<Vec<_>>(),
            ["tmpfs", "700", "1048576", "0"],
            "{said:?}"
        );
        let said = inside(&gaufre, &image, "--tmpfs /t:noexec", "cp /bin/true /t/t; /t/t");
        assert_eq!(said.code, 126);
        let said = inside(&gaufre, &image, "--tmpfs /t:ro", "touch /t/x");
        assert_ne!(said.code, 0);
        let said = inside(&gaufre, &image, "--tmpfs /t:size=lots", "true");
        assert_eq!(said.code, 125, "{said:?}");
        assert_eq!(gaufre.ok(&["ps", "-aq"]), "");
    }
}
