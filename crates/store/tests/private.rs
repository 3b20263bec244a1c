//! What other users of the machine can reach of a store, and what sandboxes can of the machine.

#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Command, Output};

    use gaufre_store::{RootfsRequest, Store};

    use crate::support::{TestStore, open, run};

    const PARTS: [&str; 8] =
        ["layers", "blobs", "blobs/sha256", "sandboxes", "volumes", "staging", "locks", "blanks"];
    const INDEX: [&str; 3] = ["index.db", "index.db-wal", "index.db-shm"];

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn as_user(user: u32, command: &str) -> Output {
        Command::new("sh").args(["-c", command]).uid(user).gid(user).output().unwrap()
    }

    /// A store in which something of everything is, with its index open.
    fn filled() -> TestStore {
        let test = TestStore::new();
        // Else a test as another user would end here already.
        set_mode(test.dir.path(), 0o755);
        fill(&test.store);
        test
    }

    fn fill(store: &Store) {
        store.volumes().create("data", &BTreeMap::new(), false).unwrap();
        fs::write(store.sandbox_dir("one").unwrap().join("record"), "secret").unwrap();
    }

    fn assert_closed(test: &TestStore, store: &Store) {
        let root = test.dir.path().join("root");
        assert!(store.volumes().get("data").unwrap().is_some());
        assert_eq!((mode(&root), mode(&test.dir.path().join("run"))), (0o700, 0o700));
        for part in PARTS {
            assert_eq!(mode(&root.join(part)), 0o700, "{part}");
        }
        for file in INDEX {
            assert_eq!(mode(&root.join(file)), 0o600, "{file}");
        }
        let root = root.display();
        for path in ["sandboxes/one/record", "sandboxes/", "volumes/data/_data/", "index.db", "format"] {
            let output = as_user(65534, &format!("exec 3< {root}/{path}"));
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(errors.contains("Permission denied"), "{path}: {errors}");
        }
    }

    #[test]
    fn nobody_but_its_owner_enters_a_store() {
        let test = filled();
        assert_closed(&test, &test.store);
        let root = test.store.root();
        assert_eq!(mode(&root.join("sandboxes/one")), 0o700);
        assert_eq!(mode(&root.join("volumes/data")), 0o700);
        assert_eq!(mode(&root.join("volumes/data/_data")), 0o755);
    }

    #[test]
    fn a_store_that_stood_open_is_closed_by_the_next_process() {
        let test = filled();
        let root = test.store.root();
        for path in ["", "sandboxes", "volumes", "../run"] {
            set_mode(&root.join(path), 0o711);
        }
        for file in INDEX {
            set_mode(&root.join(file), 0o644);
        }
        assert_closed(&test, &open(test.dir.path()));
    }

    #[test]
    fn a_directory_with_other_things_in_it_keeps_its_mode_and_what_the_store_makes_in_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("other"), "").unwrap();
        set_mode(&root, 0o1777);
        for _ in 0..2 {
            fill_once(&open(dir.path()));
            assert_eq!(mode(&root), 0o1777);
            PARTS.iter().for_each(|part| assert_eq!(mode(&root.join(part)), 0o700, "{part}"));
            assert_eq!((mode(&root.join("index.db")), mode(&root.join("format"))), (0o600, 0o600));
        }
    }

    fn fill_once(store: &Store) {
        let _ = store.volumes().create("data", &BTreeMap::new(), false);
    }

    /// Runs a shell command as a user in the mounted root filesystem, at `/mnt` of a mount namespace of its own.
    fn in_mounted(test: &TestStore, request: &RootfsRequest<'_>, user: u32, command: &str) -> Output {
        let mount = test.store.mount_rootfs(request).unwrap();
        std::thread::scope(|scope| {
            let attach = || {
                // SAFETY: only this thread's mount namespace, root and working directory become its own.
                unsafe {
                    rustix::thread::unshare_unsafe(
                        rustix::thread::UnshareFlags::NEWNS | rustix::thread::UnshareFlags::FS,
                    )
                }
                .expect("these tests need root");
                use rustix::mount::{MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
                mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
                move_mount(&mount, "", rustix::fs::CWD, "/mnt", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
                    .unwrap();
                as_user(user, command)
            };
            scope.spawn(attach).join().unwrap()
        })
    }

    #[test]
    fn other_users_work_in_a_root_filesystem_and_device_nodes_of_an_image_are_dead() {
        let test = filled();
        let tree = tempfile::tempdir().unwrap();
        set_mode(tree.path(), 0o755);
        fs::create_dir(tree.path().join("tmp")).unwrap();
        set_mode(&tree.path().join("tmp"), 0o1777);
        fs::write(tree.path().join("file"), "content").unwrap();
        run("mknod", &["-m", "666", tree.path().join("null").to_str().unwrap(), "c", "1", "3"]);
        let (layer, outcome) = test.add(&test.tar(tree.path(), &[]));
        outcome.unwrap();
        let dir = test.store.sandbox_dir("one").unwrap();
        for sandbox_dir in [Some(dir.as_path()), None] {
            let layers = [layer.clone()];
            let request = RootfsRequest { layers: &layers, sandbox_dir, volatile: false };
            let read = in_mounted(&test, &request, 1000, "cat /mnt/file");
            assert_eq!(String::from_utf8_lossy(&read.stdout), "content", "{read:?}");
            let written = in_mounted(&test, &request, 1000, "echo x > /mnt/tmp/own && cat /mnt/tmp/own");
            assert_eq!(written.status.success(), sandbox_dir.is_some(), "{written:?}");
            let mount = test.store.mount_rootfs(&request).unwrap();
            let node = format!("/proc/self/fd/{}/null", mount.as_raw_fd());
            assert!(fs::symlink_metadata(&node).is_ok());
            let error = fs::File::open(&node).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
        }
    }
}
