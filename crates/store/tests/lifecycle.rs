//! Images, names, volumes, collection, repair and the end of a store.

#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use gaufre_store::{
        Finding, ImageError, ImageRecord, InUse, Origin, PruneOptions, ResetError, Store, StoreOptions,
        VolumeError,
    };

    use crate::support::{Tar, TestStore, digest_of, open};

    /// An image of one layer that holds `content`, under `names`.
    fn add_image(test: &TestStore, content: &str, names: &[&str]) -> ImageRecord {
        let lease = test.store.lease().unwrap();
        let (diff_id, outcome) = test.add(&Tar::default().file("content", content.as_bytes()).end());
        let size_bytes = outcome.unwrap().info().size_bytes;
        let config = format!(
            "{{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"{diff_id}\"]}}}}"
        );
        let id = digest_of(config.as_bytes());
        let manifest = format!(
            "{{\"schemaVersion\":2,\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",
              \"digest\":\"{id}\",\"size\":{}}},\"layers\":[]}}",
            config.len()
        );
        let manifest_digest = digest_of(manifest.as_bytes());
        test.store.put_blob(&id, config.as_bytes()).unwrap();
        test.store.put_blob(&manifest_digest, manifest.as_bytes()).unwrap();
        let image = ImageRecord {
            id,
            manifest_digest,
            index_digest: Some(digest_of(content.as_bytes())),
            layers: vec![diff_id],
            size_bytes,
            created: Some("2024-01-01T00:00:00Z".into()),
            architecture: "amd64".into(),
            os: "linux".into(),
        };
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        test.store.images().insert(&image, &names, Origin::Registry).unwrap();
        drop(lease);
        image
    }

    #[test]
    fn an_image_is_found_by_name_id_and_digest() {
        let test = TestStore::new();
        let image = add_image(&test, "one", &["docker.io/library/one:1", "localhost:5000/one:1"]);
        let index = image.index_digest.clone().unwrap();
        for text in [
            "docker.io/library/one:1".to_owned(),
            image.id.to_string(),
            image.id.digest()[..12].to_owned(),
            image.id.to_string()[..20].to_owned(),
            image.manifest_digest.to_string(),
            format!("docker.io/library/one@{}", image.manifest_digest),
            format!("localhost:5000/one@{index}"),
        ] {
            let found = test.store.images().find(&text).unwrap();
            assert_eq!(found.image, image, "{text}");
            assert_eq!(found.names, ["docker.io/library/one:1", "localhost:5000/one:1"]);
        }
        for text in ["one", "", "sha256:", "x' OR 1=1", &format!("docker.io/library/two@{index}")] {
            assert!(matches!(test.store.images().find(text), Err(ImageError::NotFound { .. })), "{text}");
        }
    }

    #[test]
    fn the_start_of_several_ids_is_an_error_that_names_them() {
        let test = TestStore::new();
        let ids: Vec<_> = (0..17).map(|number| add_image(&test, &number.to_string(), &["a:1"]).id).collect();
        // Of 17 IDs two begin with the same digit.
        let shared = "0123456789abcdef"
            .chars()
            .find(|&digit| ids.iter().filter(|id| id.digest().starts_with(digit)).count() > 1)
            .unwrap();
        let error = test.store.images().find(&shared.to_string()).unwrap_err();
        let named = ids
            .iter()
            .filter(|id| id.digest().starts_with(shared))
            .all(|id| error.to_string().contains(id.as_ref()));
        assert!(named, "{error}");
    }

    #[test]
    fn a_name_moves_and_its_former_image_dangles_until_it_is_pruned() {
        let test = TestStore::new();
        let old = add_image(&test, "old", &["app:latest"]);
        let new = add_image(&test, "new", &["app:latest"]);
        let images = test.store.images();
        assert_eq!(images.find("app:latest").unwrap().image.id, new.id);
        assert!(images.get(&old.id).unwrap().unwrap().names.is_empty());
        let kept = test.store.prune(&PruneOptions {
            in_use: InUse { images: std::slice::from_ref(&old.id), ..InUse::default() },
            ..PruneOptions::default()
        });
        assert!(kept.unwrap().images.is_empty());
        let pruned = test.store.prune(&PruneOptions::default()).unwrap();
        assert_eq!(pruned.images.len(), 1);
        assert_eq!((pruned.reclaimed.layers, pruned.reclaimed.blobs), (1, 2));
        assert!(!test.store.has_layer(&old.layers[0]).unwrap());
        assert!(test.store.has_layer(&new.layers[0]).unwrap());
        images.tag(&new.id, "app:2").unwrap();
        assert!(images.untag("app:latest").unwrap());
        assert_eq!(images.find("app:2").unwrap().names, ["app:2"]);
        assert!(images.tag(&old.id, "app:3").is_err());
    }

    #[test]
    fn a_removed_image_keeps_its_layers_while_a_sandbox_uses_it() {
        let test = TestStore::new();
        let image = add_image(&test, "used", &["app:1"]);
        assert!(test.store.images().remove(&image.id).unwrap());
        test.store.gc(std::slice::from_ref(&image.id)).unwrap();
        assert!(test.store.has_layer(&image.layers[0]).unwrap());
        assert_eq!(test.store.gc(&[]).unwrap().layers, 1);
        let unknown = digest_of(b"unknown");
        add_image(&test, "other", &[]);
        assert!(test.store.gc(&[unknown]).unwrap().postponed);
    }

    #[test]
    fn an_image_without_one_of_its_layers_is_not_kept() {
        let test = TestStore::new();
        let mut image = add_image(&test, "x", &["app:1"]);
        image.layers.push(digest_of(b"missing"));
        let error = test.store.images().insert(&image, &["app:2".into()], Origin::Registry).unwrap_err();
        assert!(matches!(error, ImageError::Incomplete { .. }));
        assert!(test.store.images().find("app:2").is_err());
    }

    #[test]
    fn damage_is_found_and_mended_and_what_is_whole_stays() {
        let test = TestStore::new();
        let good = add_image(&test, "good", &["good:1"]);
        let bad = add_image(&test, "bad", &["bad:1"]);
        assert!(test.store.check(false).unwrap().findings.is_empty());
        let file = test.layer_tree(&bad.layers[0]).join("content");
        let times = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "bax").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
        let report = test.store.check(false).unwrap();
        assert!(!report.is_sound());
        assert!(report.findings.iter().any(|finding| finding.to_string().contains("content")));
        let report = test.store.check(true).unwrap();
        assert!(report.is_sound());
        let lost = report.findings.iter().find_map(|finding| match finding {
            Finding::Image { names, .. } => Some(names.clone()),
            _ => None,
        });
        assert_eq!(lost.unwrap(), ["bad:1"]);
        assert!(test.store.check(false).unwrap().findings.is_empty());
        assert_eq!(test.store.images().list().unwrap().len(), 1);
        assert_eq!(test.store.images().find("good:1").unwrap().image, good);
        add_image(&test, "bad", &["bad:1"]);
    }

    #[test]
    fn every_kind_of_change_to_a_layer_is_found() {
        use std::os::unix::fs::{PermissionsExt, chown};
        type Damage = fn(&std::path::Path);
        let damages: [Damage; 7] = [
            |tree| fs::remove_file(tree.join("content")).unwrap(),
            |tree| fs::write(tree.join("extra"), "x").unwrap(),
            |tree| fs::set_permissions(tree.join("content"), fs::Permissions::from_mode(0o4755)).unwrap(),
            |tree| chown(tree.join("content"), Some(5), None).unwrap(),
            |tree| fs::write(tree.join("content"), "longer content").unwrap(),
            |tree| fs::remove_file(tree.parent().unwrap().join("record")).unwrap(),
            |tree| fs::write(tree.parent().unwrap().join("record"), "cut off").unwrap(),
        ];
        for (number, damage) in damages.iter().enumerate() {
            let test = TestStore::new();
            let image = add_image(&test, "c", &["app:1"]);
            damage(&test.layer_tree(&image.layers[0]));
            assert!(!test.store.check(false).unwrap().is_sound(), "damage {number}");
        }
    }

    #[test]
    fn a_broken_index_is_made_anew_from_what_the_store_holds() {
        let test = TestStore::new();
        let image = add_image(&test, "x", &["app:1"]);
        test.store.volumes().create("data", &BTreeMap::new(), false).unwrap();
        let dir = test.dir.path().to_owned();
        for name in ["index.db-wal", "index.db-shm"] {
            let _ = fs::remove_file(test.store.root().join(name));
        }
        fs::write(test.store.root().join("index.db"), vec![b'#'; 8192]).unwrap();
        let store = open(&dir);
        let error = store.images().list().unwrap_err();
        assert!(error.to_string().contains("index.db"));
        assert!(!store.check(false).unwrap().is_sound());
        assert!(store.check(true).unwrap().is_sound());
        assert_eq!(store.images().get(&image.id).unwrap().unwrap().image.layers, image.layers);
        assert!(store.volumes().get("data").unwrap().is_some());
        assert!(store.check(false).unwrap().findings.is_empty());
    }

    #[test]
    fn volumes_keep_their_data_until_they_are_removed() {
        let test = TestStore::new();
        let volumes = test.store.volumes();
        let labels = BTreeMap::from([("team".to_owned(), "db".to_owned())]);
        let volume = volumes.create("data", &labels, false).unwrap();
        fs::write(volume.path.join("row"), "x").unwrap();
        assert!(matches!(volumes.create("data", &labels, false), Err(VolumeError::Exists { .. })));
        assert!(matches!(volumes.create("../x", &labels, false), Err(VolumeError::Name { .. })));
        assert_eq!(volumes.list().unwrap(), std::slice::from_ref(&volume));
        let usage = test.store.df(&InUse::default()).unwrap();
        assert_eq!((usage.volumes.count, usage.volumes.active), (1, 0));
        assert!(usage.volumes.bytes > 0);
        assert!(volumes.remove("data").unwrap());
        assert!(!volumes.remove("data").unwrap());
        assert!(!volume.path.exists());
    }

    #[test]
    fn a_name_that_is_too_long_for_a_volume_is_said_to_be() {
        let test = TestStore::new();
        let error = test.store.volumes().create(&"a".repeat(256), &BTreeMap::new(), false).unwrap_err();
        assert!(matches!(error, VolumeError::LongName { len_bytes: 256 }), "{error}");
        test.store.volumes().create(&"a".repeat(255), &BTreeMap::new(), false).unwrap();
    }

    #[test]
    fn a_volume_whose_removal_was_killed_can_be_made_again() {
        let test = TestStore::new();
        let volumes = test.store.volumes();
        let labels = BTreeMap::from([("is".to_owned(), "old".to_owned())]);
        let old = volumes.create("data", &labels, false).unwrap();
        // The directory has gone, and the row has not yet.
        fs::remove_dir_all(old.path.parent().unwrap()).unwrap();
        let new = volumes.create("data", &BTreeMap::new(), true).unwrap();
        assert!(new.labels.is_empty() && new.anonymous && new.path.is_dir(), "{new:?}");
    }

    #[test]
    fn volumes_that_are_made_and_removed_at_once_are_there_or_not() {
        let test = TestStore::new();
        let open =
            || Store::open(StoreOptions { root: test.store.root().into(), run: test.store.run().into() });
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let store = open().unwrap();
                    for _ in 0..150 {
                        match store.volumes().create("data", &BTreeMap::new(), false) {
                            Ok(_) | Err(VolumeError::Exists { .. }) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                });
                scope.spawn(|| {
                    let store = open().unwrap();
                    for _ in 0..150 {
                        store.volumes().remove("data").unwrap();
                    }
                });
            }
        });
        let listed = test.store.volumes().list().unwrap().len();
        assert_eq!(fs::read_dir(test.store.root().join("volumes")).unwrap().count(), listed);
        test.store.volumes().remove("data").unwrap();
        test.store.volumes().create("data", &BTreeMap::new(), false).unwrap();
    }

    #[test]
    fn a_tree_is_removed_however_deep_it_is_and_whatever_is_immutable_in_it() {
        use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, mkdirat, open, openat};
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(1024), maximum }).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut deep = open(&tree, flags, Mode::empty()).unwrap();
        let mut immutable = Vec::new();
        for level in 0..3000 {
            mkdirat(&deep, "d", Mode::RWXU).unwrap();
            let below = openat(&deep, "d", flags, Mode::empty()).unwrap();
            // Among them directories that have to be moved, and those that they are moved out of.
            if (40..120).contains(&level) {
                immutable.push(below.try_clone().unwrap());
            }
            deep = below;
        }
        for directory in immutable {
            // A file system that knows no such flag has no such trees.
            if let Ok(set) = ioctl_getflags(&directory) {
                ioctl_setflags(&directory, set | IFlags::IMMUTABLE).unwrap();
            }
        }
        gaufre_store::remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        fs::write(&tree, "a file").unwrap();
        gaufre_store::remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        gaufre_store::remove_tree(&tree).unwrap();
        gaufre_store::remove_tree(&tree.join("below/nothing")).unwrap();
    }

    #[test]
    fn a_sandbox_of_any_depth_is_removed_and_no_link_is_followed() {
        let test = TestStore::new();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("precious"), "x").unwrap();
        let dir = test.store.sandbox_dir("one").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.join("link")).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        let mut deep = rustix::fs::open(&dir, flags, rustix::fs::Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&deep, "d", rustix::fs::Mode::RWXU).unwrap();
            deep = rustix::fs::openat(&deep, "d", flags, rustix::fs::Mode::empty()).unwrap();
        }
        assert_eq!(test.store.sandboxes().unwrap(), ["one"]);
        test.store.df(&InUse::default()).unwrap();
        test.store.remove_sandbox("one").unwrap();
        assert!(!test.store.has_sandbox("one").unwrap());
        assert_eq!(fs::read_dir(test.store.root().join("staging")).unwrap().count(), 0);
        assert!(outside.path().join("precious").exists());
        assert!(test.store.sandbox_dir("../x").is_err());
    }

    #[test]
    fn reset_removes_the_store_and_nothing_else() {
        let test = TestStore::new();
        let (root, run) = (test.store.root().to_owned(), test.store.run().to_owned());
        add_image(&test, "x", &["app:1"]);
        fs::write(root.join("foreign"), "x").unwrap();
        let lease = test.store.lease().unwrap();
        assert!(matches!(Store::reset(&root, &run), Err(ResetError::Busy { .. })));
        drop(lease);
        Store::reset(&root, &run).unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        assert!(!run.exists());
        assert!(matches!(Store::reset(&root, &run), Err(ResetError::Foreign { .. })));
        fs::remove_file(root.join("foreign")).unwrap();
        fs::remove_dir(&root).unwrap();
        Store::reset(&root, &run).unwrap();
    }
}
