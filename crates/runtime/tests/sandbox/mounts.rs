//! Mount options: propagation, attributes of whole trees, tmpfs with content, changes to mounts that are there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::bundle::{Bundle, eventually};

fn run(program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).status().unwrap();
    assert!(status.success(), "{program} {args:?}");
}

/// A tmpfs of the host with another one in it, gone when dropped.
struct HostTree(std::path::PathBuf);

impl HostTree {
    fn make(path: &Path, propagation: &str) -> Self {
        let text = path.to_str().unwrap();
        fs::create_dir(path).unwrap();
        run("mount", &["-t", "tmpfs", "outer", text]);
        let tree = Self(path.to_owned());
        run("mount", &[&format!("--make-{propagation}"), text]);
        fs::create_dir(path.join("inner")).unwrap();
        run("mount", &["-t", "tmpfs", "inner", &format!("{text}/inner")]);
        tree
    }
}

impl Drop for HostTree {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn recursive_attributes_reach_every_mount_below_and_plain_ones_only_the_first() {
    let script = "grep -E ' /(rec|one)[ /]' /proc/mounts | cut -d ' ' -f 2,4";
    let bundle = Bundle::sh(script);
    let tree = HostTree::make(&bundle.dir.path().join("tree"), "private");
    let options = ["rbind", "rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnosymfollow"];
    let bundle = bundle
        .mount(json!({"destination": "/rec", "type": "bind", "source": tree.0, "options": options}))
        .mount(json!({"destination": "/one", "type": "bind", "source": tree.0, "options": ["rbind", "ro", "noexec"]}));
    let out = bundle.stdout();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 4, "{out}");
    for (line, path) in lines.iter().zip(["/rec ", "/rec/inner "]) {
        assert!(line.starts_with(path), "{out}");
        for word in ["ro", "nosuid", "nodev", "noexec", "noatime", "nosymfollow"] {
            assert!(line.split([' ', ',']).any(|found| found == word), "{word}: {out}");
        }
    }
    assert!(lines[2].starts_with("/one ro,noexec"), "{out}");
    assert!(lines[3].starts_with("/one/inner rw"), "{out}");
}

#[test]
fn propagation_is_what_the_options_and_the_root_s_own_ask_for() {
    let script = "for m in / /private /slave /shared /unbindable; do grep \" $m \" /proc/self/mountinfo | head -n 1; done";
    for (word, field) in
        [("rslave", "-"), ("rshared", "shared:"), ("rprivate", "-"), ("runbindable", "unbindable")]
    {
        let mut bundle = Bundle::sh(script).with("/linux/rootfsPropagation", json!(word));
        let tree = HostTree::make(&bundle.dir.path().join("tree"), "shared");
        for kind in ["private", "slave", "shared", "unbindable"] {
            bundle = bundle.mount(json!({"destination": format!("/{kind}"), "type": "bind", "source": tree.0, "options": ["rbind", kind]}));
        }
        let out = bundle.stdout();
        let fields: Vec<&str> = out.lines().map(|line| line.split(' ').nth(6).unwrap()).collect();
        assert!(fields[0].starts_with(field), "{word}: {out}");
        // What the root's propagation reaches recursively is as that says, whatever the mount itself asked for.
        if word == "rprivate" {
            let starts = ["-", "master:", "shared:", "unbindable"];
            for (field, start) in fields[1..].iter().zip(starts) {
                assert!(field.starts_with(start), "{start}: {out}");
            }
        }
    }
}

#[test]
fn a_slave_goes_on_receiving_the_host_s_mounts_and_gives_none_back() {
    let bundle = Bundle::sh("sleep 60");
    let tree = HostTree::make(&bundle.dir.path().join("tree"), "shared");
    fs::create_dir(tree.0.join("later")).unwrap();
    let bundle = bundle
        .mount(json!({"destination": "/slave", "type": "bind", "source": tree.0, "options": ["rbind", "rslave"]}))
        .mount(json!({"destination": "/private", "type": "bind", "source": tree.0, "options": ["rbind"]}));
    bundle.start();
    run("mount", &["-t", "tmpfs", "later", tree.0.join("later").to_str().unwrap()]);
    fs::write(tree.0.join("later/file"), "").unwrap();
    eventually("the mount in the container", || bundle.exec("ls /slave/later").stdout == "file\n");
    assert_eq!(bundle.exec("ls /private/later").stdout, "");
}

#[test]
fn a_tmpfs_with_copy_up_begins_with_what_the_image_has_there() {
    let script = "cat /data/file /data/deep/er/file; stat -c '%a %u %g' /data/file /data; readlink /data/link; touch /data/new; grep -c ' /data tmpfs' /proc/mounts";
    let bundle = Bundle::sh(script);
    let data = bundle.rootfs().join("data");
    fs::create_dir_all(data.join("deep/er")).unwrap();
    fs::write(data.join("file"), "content\n").unwrap();
    fs::write(data.join("deep/er/file"), "deep\n").unwrap();
    fs::set_permissions(data.join("file"), fs::Permissions::from_mode(0o4640)).unwrap();
    std::os::unix::fs::chown(data.join("file"), Some(7), Some(8)).unwrap();
    fs::set_permissions(data.join("file"), fs::Permissions::from_mode(0o4640)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o711)).unwrap();
    symlink("/etc/passwd", data.join("link")).unwrap();
    let bundle = bundle.mount(json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "nosuid"]}));
    assert_eq!(bundle.stdout(), "content\ndeep\n4640 7 8\n711 0 0\n/etc/passwd\n1\n");
    assert!(!data.join("new").exists());
    let bind =
        json!({"destination": "/x", "type": "bind", "source": "/usr", "options": ["bind", "tmpcopyup"]});
    let error = Bundle::sh("true").mount(bind).failure();
    assert!(error.contains("tmpcopyup") && error.contains("/x"), "{error}");
}

#[test]
fn a_remount_changes_the_mount_that_is_there() {
    let bundle = Bundle::sh("grep -E ' /(t|b) ' /proc/mounts | cut -d ' ' -f 2,4; touch /b/x")
        .mount(json!({"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]}))
        .mount(json!({"destination": "/t", "type": "tmpfs", "options": ["remount", "noexec", "size=128k"]}))
        .mount(json!({"destination": "/b", "type": "bind", "source": "rootfs/tmp", "options": ["bind"]}))
        .mount(json!({"destination": "/b", "options": ["remount", "bind", "ro"]}));
    let outcome = bundle.run();
    assert!(outcome.stdout.contains("/t rw,noexec") && outcome.stdout.contains("size=128k"), "{outcome:?}");
    assert!(outcome.stdout.contains("/b ro"), "{outcome:?}");
    assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
    let nowhere = json!({"destination": "/tmp", "options": ["remount", "ro"]});
    assert!(Bundle::sh("true").mount(nowhere).failure().contains("/tmp"));
}

#[test]
fn a_file_is_bound_on_a_file_through_a_link_within_the_root_and_from_a_descriptor() {
    let bundle = Bundle::sh("cat /etc/link /etc/plain /etc/named");
    fs::write(bundle.dir.path().join("f"), "from the host\n").unwrap();
    symlink("/tmp/target", bundle.rootfs().join("etc/link")).unwrap();
    fs::write(bundle.rootfs().join("tmp/target"), "").unwrap();
    let mut bundle =
        bundle.mount(json!({"destination": "/etc/link", "source": "f", "options": ["bind"]})).mount(
            json!({"destination": "etc/plain", "type": "none", "source": "./f", "options": ["bind", "ro"]}),
        );
    let file = fs::File::open(bundle.dir.path().join("f")).unwrap();
    // A descriptor of the process that calls the runtime: of this one, by its own directory in /proc.
    use std::os::fd::AsRawFd;
    let source = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    bundle = bundle
        .mount(json!({"destination": "/etc/named", "type": "bind", "source": source, "options": ["bind"]}));
    assert_eq!(bundle.stdout(), "from the host\n".repeat(3));
    assert_eq!(fs::read_to_string(bundle.rootfs().join("tmp/target")).unwrap(), "");
}

#[test]
fn an_overlay_with_options_in_one_word_and_longer_than_a_string_of_the_mount_interface() {
    let bundle = Bundle::sh("cat /o/file; touch /o/new");
    // The lower one is not on an overlay itself, whatever /tmp is.
    let base = bundle.dir.path().to_owned();
    let long = "x".repeat(200);
    for name in ["upper", "work", &format!("{long}/{long}")] {
        fs::create_dir_all(base.join(name)).unwrap();
    }
    let lower = base.join(format!("{long}/{long}"));
    fs::write(lower.join("file"), "lower\n").unwrap();
    let word = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        base.join("upper").display(),
        base.join("work").display()
    );
    let bundle = bundle.mount(
        json!({"destination": "/o", "type": "overlay", "source": "overlay", "options": [word, "private"]}),
    );
    assert_eq!(bundle.stdout(), "lower\n");
    assert!(base.join("upper/new").exists());
}

#[test]
fn sync_and_lazytime_reach_the_file_system_and_a_tmpfs_takes_the_mode_of_its_directory() {
    let bundle = Bundle::sh("stat -c %a /held /fresh; grep -c ' /held tmpfs .*sync' /proc/mounts");
    let held = bundle.rootfs().join("held");
    fs::create_dir(&held).unwrap();
    fs::set_permissions(&held, fs::Permissions::from_mode(0o1730)).unwrap();
    let bundle = bundle
        .mount(json!({"destination": "/held", "type": "tmpfs", "source": "tmpfs", "options": ["sync", "lazytime"]}))
        .mount(json!({"destination": "/fresh", "type": "tmpfs", "source": "tmpfs"}));
    assert_eq!(bundle.stdout(), "1730\n1777\n1\n");
}

#[test]
fn mounts_are_listed_in_the_order_of_the_configuration() {
    let bind = |to: &str, options: &[&str]| {
        let options = [&["bind"], options].concat();
        json!({"destination": to, "source": "/etc", "options": options})
    };
    let tmpfs = |to: &str| json!({"destination": to, "type": "tmpfs", "source": "tmpfs"});
    let bundle = Bundle::sh("grep -o ' /[1-6] ' /proc/self/mountinfo")
        .mount(tmpfs("/1"))
        .mount(tmpfs("/2"))
        .mount(bind("/3", &[]))
        .mount(bind("/4", &["slave"]))
        .mount(bind("/5", &["shared"]))
        .mount(bind("/6", &["unbindable"]));
    assert_eq!(bundle.stdout(), " /1 \n /2 \n /3 \n /4 \n /5 \n /6 \n");
}

#[test]
fn more_bind_mounts_than_one_message_has_room_for() {
    let bundle = (0..70).fold(Bundle::sh("grep -c ' /etc/many/' /proc/self/mountinfo; cat /etc/many/69"), |bundle, n| {
        fs::write(bundle.dir.path().join(n.to_string()), n.to_string()).unwrap();
        bundle.mount(json!({"destination": format!("/etc/many/{n}"), "source": n.to_string(), "options": ["bind"]}))
    });
    assert_eq!(bundle.stdout(), "70\n69");
}

#[test]
fn what_only_a_new_tmpfs_has_is_left_out_of_a_bind_mount_with_a_warning() {
    let mount =
        |option: &str| json!({"destination": "/x", "source": "/etc", "options": ["bind", "ro", option]});
    let outcome = Bundle::sh("true").mount(mount("size=1k")).run();
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains("the option size of the bind mount at /x is left out"), "{outcome:?}");
    let error = Bundle::sh("true").mount(mount("subvol=x")).failure();
    assert!(error.contains("the bind mount at /x has no option subvol"), "{error}");
}
