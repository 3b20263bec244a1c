//! A small ext4 that has no room left, or no inode: one clear error, nothing left behind, and what was there still works.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, Registry, Said, run, tool, until};
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::{Path, PathBuf};

    /// A file system in a file, mounted with a store on it; unmounted when dropped, also by a test that fails.
    struct Disk {
        at: PathBuf,
        gaufre: Gaufre,
    }

    impl Disk {
        fn new(megabytes: u64, options: &[&str]) -> Self {
            let gaufre = Gaufre::new();
            let (file, at) = (gaufre.dir().join("disk"), gaufre.dir().join("mounted"));
            File::create(&file).unwrap().set_len(megabytes << 20).unwrap();
            fs::create_dir(&at).unwrap();
            run(tool("mkfs.ext4").args(["-q", "-F", "-m", "0"]).args(options).arg(&file));
            run(tool("mount").args(["-o", "loop"]).arg(&file).arg(&at));
            Self { at, gaufre }
        }

        /// What gaufre says with its store on the disk, and what runs beside it.
        fn say(&self, arguments: &[&str]) -> Said {
            let mut command = tool(self.gaufre.binary().to_str().unwrap());
            command.arg("--root").arg(self.at.join("root")).arg("--run").arg(self.gaufre.dir().join("run"));
            command.env("HOME", self.gaufre.dir());
            Said::from(command.args(arguments).output().unwrap())
        }

        fn ok(&self, arguments: &[&str]) -> String {
            let said = self.say(arguments);
            assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
            said.out
        }

        /// Fails in one sentence that names the disk, and says what to do.
        fn too_full_for(&self, arguments: &[&str]) -> String {
            let said = self.say(arguments);
            assert_eq!(said.code, 125, "{arguments:?}: {said:?}");
            assert_eq!(said.err.matches("Error").count(), 1, "{said:?}");
            assert!(said.err.contains(self.at.to_str().unwrap()) && said.err.contains("full"), "{said:?}");
            assert!(said.err.contains("hint: "), "{said:?}");
            said.err
        }

        /// Loads a small image and runs a container of it that stays.
        fn with_container(&self) {
            let image = Crafted::busybox();
            self.ok(&["load", "--quiet", "--input", image.layout("example.com/small:1").to_str().unwrap()]);
            self.ok(&[
                "run",
                "-d",
                "--name=earlier",
                "--network=none",
                "example.com/small:1",
                "sleep",
                "1000",
            ]);
        }

        /// What was there before works, and there is no more than that.
        fn still_works(&self) {
            assert_eq!(self.ok(&["exec", "earlier", "echo", "inside"]), "inside\n");
            assert_eq!(self.ok(&["ps", "--all", "--format", "{{.Names}}"]), "earlier\n");
            assert_eq!(self.ok(&["images", "--format", "{{.Repository}}"]), "example.com/small\n");
            self.ok(&["system", "check"]);
        }

        fn free_bytes(&self) -> u64 {
            self.free("--output=avail", "-B1")
        }

        fn free_inodes(&self) -> u64 {
            self.free("--output=iavail", "--inodes")
        }

        fn free(&self, what: &str, unit: &str) -> u64 {
            let what = if unit == "--inodes" { &[what][..] } else { &[what, unit] };
            let said = run(tool("df").args(what).arg(&self.at));
            said.lines().last().and_then(|number| number.trim().parse().ok()).unwrap()
        }

        /// Takes all that is free but for about `but_bytes`.
        fn fill(&self, name: &str, but_bytes: u64) -> PathBuf {
            let ballast = self.at.join(name);
            let mut file = File::create(&ballast).unwrap();
            let block = [1; 4096];
            while self.free_bytes() > but_bytes && file.write_all(&block).is_ok() {}
            ballast
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            self.say(&["rm", "--force", "--all", "--time=0"]);
            self.say(&["system", "reset", "--force"]);
            let _ = tool("umount").arg("--lazy").arg(&self.at).output();
        }
    }

    fn pull(image: &str) -> [&str; 4] {
        ["pull", "--quiet", "--tls-verify=false", image]
    }

    #[test]
    fn a_pull_that_the_disk_has_no_room_for_costs_nothing() {
        let (disk, registry) = (Disk::new(40, &[]), Registry::with_images());
        disk.with_container();
        let before = disk.free_bytes();
        let said = disk.too_full_for(&pull(&registry.image("base")));
        assert!(said.contains("bytes"), "{said}");
        disk.still_works();
        let lost = before.saturating_sub(disk.free_bytes());
        assert!(lost < 500_000, "{lost} bytes stayed behind");
    }

    #[test]
    fn a_disk_without_inodes_is_said_to_have_none() {
        let (disk, registry) = (Disk::new(400, &["-N", "1200"]), Registry::with_images());
        disk.with_container();
        let before = disk.free_inodes();
        let said = disk.too_full_for(&pull(&registry.image("base")));
        assert!(said.contains(" 0 files") || said.contains("inode"), "{said}");
        disk.still_works();
        let lost = before.saturating_sub(disk.free_inodes());
        assert!(lost < 20, "{lost} files stayed behind");
    }

    #[test]
    fn a_run_on_a_full_disk_fails_in_one_sentence_and_leaves_nothing() {
        let disk = Disk::new(40, &[]);
        disk.with_container();
        let first = disk.fill("first", 0);
        // There is a reserve, so that what takes room can be removed.
        disk.ok(&["tag", "example.com/small:1", "example.com/other:1"]);
        disk.ok(&["rmi", "example.com/other:1"]);
        let second = disk.fill("second", 0);
        for arguments in [
            &["run", "--rm", "--network=none", "example.com/small:1", "true"][..],
            &["create", "--name=more", "example.com/small:1", "true"],
            &["run", "-d", "--network=none", "-v", "volume:/etc", "example.com/small:1", "sleep", "9"],
            &["tag", "example.com/small:1", "example.com/other:1"],
            &["images"],
            &["pull", "--quiet", "--tls-verify=false", "127.0.0.1:1/no:1"],
        ] {
            disk.too_full_for(arguments);
        }
        assert_eq!(disk.ok(&["exec", "earlier", "echo", "inside"]), "inside\n");
        assert_eq!(disk.ok(&["ps", "--all", "--format", "{{.Names}}"]), "earlier\n");
        disk.ok(&["stop", "--time=0", "earlier"]);
        fs::remove_file(second).unwrap();
        disk.ok(&["start", "earlier"]);
        disk.still_works();
        disk.ok(&["rm", "--force", "--time=0", "earlier"]);
        disk.ok(&["rmi", "example.com/small:1"]);
        fs::remove_file(first).unwrap();
        disk.with_container();
        disk.still_works();
    }

    #[test]
    fn a_container_on_a_full_disk_can_be_stopped_and_removed() {
        let disk = Disk::new(40, &[]);
        disk.with_container();
        disk.ok(&[
            "run",
            "-d",
            "--name=restarts",
            "--network=none",
            "--restart=always",
            "example.com/small:1",
            "sleep",
            "1000",
        ]);
        disk.fill("first", 0);
        disk.say(&["images"]);
        disk.fill("second", 0);
        disk.ok(&["stop", "--time=0", "earlier"]);
        disk.ok(&["rm", "--force", "--time=0", "earlier", "restarts"]);
        assert_eq!(disk.ok(&["ps", "--all", "--quiet"]), "");
    }

    #[test]
    fn a_log_that_the_disk_has_no_room_for_neither_stops_nor_breaks_a_container() {
        let disk = Disk::new(40, &[]);
        disk.with_container();
        let ballast = disk.fill("ballast", 2 << 20);
        let script = "i=0; while [ $i -lt 60000 ]; do echo line $i of a log that takes all there is to take of the disk; i=$((i+1)); done; \
                      echo done > /dev/shm/done; exec sleep 1000";
        let loud = [
            "run",
            "-d",
            "--name=loud",
            "--network=none",
            "--log-opt=max-size=64m",
            "example.com/small:1",
            "sh",
            "-c",
            script,
        ];
        disk.ok(&loud);
        until("the end of all output", || {
            (disk.say(&["exec", "loud", "cat", "/dev/shm/done"]).out == "done\n").then_some(())
        });
        // What was said to whoever asks is what there was room for, in whole lines.
        let log = disk.ok(&["logs", "loud"]);
        assert!(log.starts_with("line 0 of a log"), "{}", &log[..log.len().min(200)]);
        assert!(log.lines().count() < 60_000, "there was room for all of it");
        fs::remove_file(ballast).unwrap();
        disk.ok(&["stop", "--time=0", "loud"]);
        disk.ok(&["start", "loud"]);
        disk.ok(&["rm", "--force", "--time=0", "loud"]);
        disk.still_works();
    }

    /// The fixture's own mounts are gone when a test has ended.
    #[test]
    fn a_disk_is_unmounted_also_by_a_test_that_fails() {
        let at = std::panic::catch_unwind(|| {
            let disk = Disk::new(8, &[]);
            std::panic::panic_any(disk.at.clone());
        });
        let at = at.unwrap_err().downcast::<PathBuf>().unwrap();
        let mounted =
            |at: &Path| fs::read_to_string("/proc/self/mounts").unwrap().contains(at.to_str().unwrap());
        assert!(!mounted(&at));
    }
}
