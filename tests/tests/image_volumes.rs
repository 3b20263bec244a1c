//! Volumes that an image declares, and volumes that are filled with what an image has.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, run, tool, until};
    use serde_json::json;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn volumes(gaufre: &Gaufre) -> usize {
        fs::read_dir(gaufre.dir().join("root/volumes")).map_or(0, Iterator::count)
    }

    fn declaring(gaufre: &Gaufre, place: &str, fill: impl FnOnce(&Path)) -> &'static str {
        let image = Crafted::busybox().config("Volumes", json!({place: {}})).layer(fill);
        image.load(gaufre, "example.com/declares:1")
    }

    fn with_data(gaufre: &Gaufre) -> &'static str {
        declaring(gaufre, "/srv/data", |root| {
            fs::create_dir_all(root.join("srv/data/deep")).unwrap();
            fs::write(root.join("srv/data/deep/file"), "of the image\n").unwrap();
            std::os::unix::fs::chown(root.join("srv/data"), Some(7), Some(8)).unwrap();
            fs::set_permissions(root.join("srv/data"), fs::Permissions::from_mode(0o2750)).unwrap();
        })
    }

    const LOOK: &str = "cat /srv/data/deep/file; stat -c '%a %u %g' /srv/data; \
                        grep -c ' /srv/data ' /proc/self/mountinfo; echo written > /srv/data/new";

    #[test]
    fn a_declared_volume_holds_the_images_data_and_goes_with_rm() {
        let gaufre = Gaufre::new();
        let image = with_data(&gaufre);
        let said = gaufre.ok(&["run", "--rm", "--network=none", image, "sh", "-c", LOOK]);
        assert_eq!(said, "of the image\n2750 7 8\n1\n");
        assert_eq!(volumes(&gaufre), 0, "--rm left it");
    }

    #[test]
    fn a_declared_volume_is_kept_until_it_is_asked_away() {
        let gaufre = Gaufre::new();
        let image = with_data(&gaufre);
        for name in ["kept", "removed"] {
            gaufre.ok(&["run", "--network=none", "--name", name, image, "sh", "-c", LOOK]);
        }
        assert_eq!(volumes(&gaufre), 2, "two containers share it");
        let said = gaufre.ok(&["start", "--attach", "kept"]);
        assert_eq!(said, "of the image\n2750 7 8\n1\n");
        gaufre.ok(&["rm", "--volumes", "removed"]);
        assert_eq!(volumes(&gaufre), 1);
        gaufre.ok(&["rm", "kept"]);
        assert_eq!(volumes(&gaufre), 1, "rm without -v removed it");
        // What is asked for takes the place of what is declared.
        let named =
            ["run", "--rm", "--network=none", "-v", "mine:/srv/data", image, "cat", "/srv/data/deep/file"];
        assert_eq!(gaufre.ok(&named), "of the image\n");
        let tmpfs = ["run", "--rm", "--network=none", "--tmpfs", "/srv/data", image, "ls", "-A", "/srv/data"];
        assert_eq!(gaufre.ok(&tmpfs), "");
        assert_eq!(volumes(&gaufre), 2);
    }

    #[test]
    fn a_volume_over_what_protects_a_container_is_refused() {
        let gaufre = Gaufre::new();
        for place in [
            "/",
            "//",
            "/.",
            "/proc",
            "/proc/",
            "/proc/sys",
            "/sys",
            "/sys/fs/cgroup",
            "/dev",
            "/dev/pts",
            "/tmp/../proc",
            "",
            "relative",
        ] {
            let image = declaring(&gaufre, place, |_| ());
            let said = gaufre.fails(125, &["run", "--rm", "--network=none", image, "true"]);
            assert!(said.contains("volume"), "{place:?}: {said}");
            assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "");
            assert_eq!(volumes(&gaufre), 0, "{place:?}");
        }
    }

    #[test]
    fn a_declared_volume_that_a_link_leads_elsewhere_stays_in_the_container() {
        let gaufre = Gaufre::new();
        for target in ["/proc", "../../../proc", "/proc/self/attr", "/sys/fs", "/dev", "/"] {
            let image = declaring(&gaufre, "/place", |root| symlink(target, root.join("place")).unwrap());
            let script = "test -e /proc/self/status && test -c /dev/null && test -d /sys/fs/cgroup && test -x /bin/true && echo whole";
            let said = gaufre.say(&["run", "--rm", "--network=none", image, "sh", "-c", script]);
            let refused = said.code == 125 && said.err.matches("Error").count() == 1;
            assert!(refused || said.out == "whole\n", "{target}: {said:?}");
            assert_eq!(
                (gaufre.ok(&["ps", "--all", "--quiet"]).as_str(), volumes(&gaufre)),
                ("", 0),
                "{target}"
            );
        }
        // Out of the image is into the image.
        let host = gaufre.dir().join("host");
        fs::create_dir(&host).unwrap();
        fs::write(host.join("secret"), "").unwrap();
        let image = declaring(&gaufre, "/place", |root| symlink(&host, root.join("place")).unwrap());
        let said = gaufre.say(&["run", "--rm", "--network=none", image, "ls", "-A", "/place"]);
        assert!(!said.out.contains("secret"), "{said:?}");
        assert_eq!(fs::read_dir(&host).unwrap().count(), 1);
    }

    #[test]
    fn a_volume_is_filled_once_and_from_the_image_alone() {
        let gaufre = Gaufre::new();
        let image = with_data(&gaufre);
        let run = |name: &str, volume: &str, script: &str| {
            let name = format!("--name={name}");
            gaufre.ok(&["run", &name, "--network=none", "-v", volume, image, "sh", "-c", script])
        };
        // What the container writes beside the volume is not in it when it is mounted again.
        let script =
            "ls -A /a/b; test -e /a2 || { mv /a /a2 && mkdir -p /a/b && truncate -s 50M /a/b/huge; }";
        run("swapper", "swapped:/a/b", script);
        for _ in 0..2 {
            assert_eq!(
                gaufre.ok(&["start", "--attach", "swapper"]),
                "",
                "the container's own files were copied"
            );
        }
        assert_eq!(fs::read_dir(gaufre.dir().join("root/volumes/swapped/_data")).unwrap().count(), 0);
        // What the container empties stays empty, as with podman and docker; a new one fills it again, as with docker.
        run("cleaner", "emptied:/srv/data", "cd /srv/data && cat deep/file && rm -r deep");
        assert_eq!(gaufre.say(&["start", "--attach", "cleaner"]).out, "");
        assert_eq!(fs::read_dir(gaufre.dir().join("root/volumes/emptied/_data")).unwrap().count(), 0);
        assert_eq!(run("reader", "emptied:/srv/data", "cat /srv/data/deep/file"), "of the image\n");
    }

    #[test]
    fn a_volume_is_filled_at_the_first_start_that_succeeds() {
        let gaufre = Gaufre::new();
        let image = with_data(&gaufre);
        let missing = gaufre.dir().join("missing");
        let bind = format!("{}:/bound", missing.display());
        let script = "cat /srv/data/deep/file";
        let create = ["create", "--name=late", "--network=none", "-v", &bind, "-v", "late:/srv/data", image];
        gaufre.ok(&[&create[..], &["sh", "-c", script]].concat());
        gaufre.fails(125, &["start", "--attach", "late"]);
        fs::create_dir(missing).unwrap();
        assert_eq!(gaufre.ok(&["start", "--attach", "late"]), "of the image\n");
    }

    #[test]
    fn a_sparse_file_of_the_image_takes_no_more_room_in_a_volume() {
        let gaufre = Gaufre::new();
        let tree = gaufre.dir().join("tree");
        fs::create_dir_all(tree.join("srv/data")).unwrap();
        let file = fs::File::create(tree.join("srv/data/sparse")).unwrap();
        file.set_len(512 << 20).unwrap();
        let archive = gaufre.dir().join("sparse.tar");
        run(tool("tar")
            .args(["--sparse", "--format=pax", "-cf"])
            .arg(&archive)
            .arg("-C")
            .arg(&tree)
            .arg("."));
        let archive = fs::read(archive).unwrap();
        assert!(archive.len() < 1 << 20);
        let image = Crafted::busybox().config("Volumes", json!({"/srv/data": {}})).archive(&archive);
        let image = image.load(&gaufre, "example.com/sparse:1");
        let said =
            gaufre.ok(&["run", "--rm", "--network=none", image, "stat", "-c", "%s %b", "/srv/data/sparse"]);
        let (size, blocks) = said.trim().split_once(' ').unwrap();
        assert_eq!(size, (512 << 20).to_string());
        assert!(blocks.parse::<u64>().unwrap() < 2048, "{blocks} blocks of 512 bytes");
    }

    /// Swaps what appears in the volume for links to the host, and empties it again so that it is filled anew.
    const SWAPPER: &str = r"
import os, shutil, sys
host, swaps = sys.argv[1], 0
os.chdir('/data')
print('ready', flush=True)
while True:
    for name in os.listdir('.'):
        try:
            if os.path.islink(name):
                os.unlink(name)
            else:
                os.rename(name, '.trash')
                os.symlink(host, name)
                shutil.rmtree('.trash')
                os.unlink(name)
                swaps += 1
                print(swaps, flush=True)
        except OSError:
            shutil.rmtree('.trash', ignore_errors=True)
    try:
        for name in ('one', 'two'):
            os.symlink(host, name)
            os.unlink(name)
    except OSError:
        pass
";

    /// Everything about a directory that an escape could change.
    fn state(dir: &Path) -> Vec<String> {
        run(tool("find").arg(dir).args(["-printf", "%p %m %U %G %y %s %T@ %C@ %l\n"]))
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_volume_that_is_filled_under_attack_changes_nothing_of_the_host() {
        let gaufre = Gaufre::new();
        let image = Crafted::over("python").layer(|root| {
            for name in ["data/one/deep", "data/two"] {
                fs::create_dir_all(root.join(name)).unwrap();
            }
            for number in 0..20 {
                fs::write(root.join(format!("data/one/deep/file{number}")), "of the image").unwrap();
            }
            run(tool("chown").arg("-R").arg("1234:1234").arg(root.join("data")));
            run(tool("chmod").arg("-R").arg("777").arg(root.join("data")));
        });
        let image = image.load(&gaufre, "example.com/fills:1");
        let host = gaufre.dir().join("host");
        fs::create_dir_all(host.join("deep")).unwrap();
        fs::write(host.join("file"), "the host's").unwrap();
        let before = state(&host);
        let (host_path, volumes) = (host.to_str().unwrap(), gaufre.dir().join("root/volumes"));
        let swap = [
            "run",
            "-d",
            "--network=none",
            "-v",
            "shared:/data:nocopy",
            image,
            "python3",
            "-c",
            SWAPPER,
            host_path,
        ];
        let swapper = gaufre.ok(&swap).trim().to_owned();
        until("the swapper", || gaufre.ok(&["logs", &swapper]).contains("ready").then_some(()));
        for round in 0..200 {
            let said = gaufre.say(&["run", "--rm", "--network=none", "-v", "shared:/data", image, "true"]);
            let refused = said.code == 125 && said.err.matches("Error").count() == 1;
            assert!(said.code == 0 || refused, "round {round}: {said:?}");
            assert_eq!(state(&host), before, "round {round}");
        }
        let log = gaufre.ok(&["logs", &swapper]);
        let swaps: u32 = log.lines().filter_map(|line| line.parse().ok()).max().unwrap_or_default();
        println!("{swaps} swaps");
        assert!(swaps > 20, "the volume was hardly ever filled: {log}");
        gaufre.ok(&["rm", "-f", "--time=0", &swapper]);
        gaufre.ok(&["system", "check"]);
        let beside = fs::read_dir(volumes.join("shared")).unwrap().count();
        assert_eq!(beside, 1, "something stayed beside the volume: {:?}", state(&volumes));
    }
}
