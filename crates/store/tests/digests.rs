//! One image with several manifests: each name keeps the digest by which it was got.

#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use gaufre_store::{ImageRecord, Origin};
    use rusqlite::Connection;

    use crate::support::{TestStore, digest_of, open};

    const REDIS: &str = "registry.example/redis:1";

    /// The image without layers that all tests use, by a manifest of its own.
    fn image(test: &TestStore, manifest: &str) -> ImageRecord {
        let config = b"{\"rootfs\":{\"diff_ids\":[]}}";
        let (id, manifest_digest) = (digest_of(config), digest_of(manifest.as_bytes()));
        test.store.put_blob(&id, config).unwrap();
        test.store.put_blob(&manifest_digest, manifest.as_bytes()).unwrap();
        ImageRecord {
            id,
            manifest_digest,
            index_digest: None,
            layers: Vec::new(),
            size_bytes: 0,
            created: None,
            architecture: "amd64".into(),
            os: "linux".into(),
        }
    }

    #[test]
    fn an_archive_takes_no_digest_from_an_image_that_is_here() {
        let test = TestStore::new();
        let images = test.store.images();
        let (pulled, loaded) = (image(&test, "{\"pulled\":1}"), image(&test, "{\"loaded\":1}"));
        images.insert(&pulled, &[REDIS.into()], Origin::Registry).unwrap();
        images.insert(&loaded, &[REDIS.into(), "localhost/other:1".into()], Origin::Archive).unwrap();
        test.store.gc(&[]).unwrap();

        let found = images.find(&format!("registry.example/redis@{}", pulled.manifest_digest)).unwrap();
        assert_eq!(found.manifests[REDIS], pulled.manifest_digest);
        assert_eq!(found.manifests["localhost/other:1"], loaded.manifest_digest);
        assert_eq!(found.repo_digests, [format!("registry.example/redis@{}", pulled.manifest_digest)]);
        for manifest in [&pulled.manifest_digest, &loaded.manifest_digest] {
            assert_eq!(images.find(manifest.as_ref()).unwrap().image.id, pulled.id);
            test.store.get_blob(manifest).expect("a manifest that is still needed");
        }
    }

    #[test]
    fn a_pull_gives_a_name_its_new_digest_and_keeps_the_old_one() {
        let test = TestStore::new();
        let images = test.store.images();
        let (first, second) = (image(&test, "{\"first\":1}"), image(&test, "{\"second\":1}"));
        images.insert(&first, &[REDIS.into()], Origin::Registry).unwrap();
        images.insert(&second, &[REDIS.into()], Origin::Registry).unwrap();
        let found = images.find(&format!("registry.example/redis@{}", first.manifest_digest)).unwrap();
        assert_eq!(found.manifests[REDIS], second.manifest_digest);
        assert_eq!(found.repo_digests.len(), 2);

        images.tag(&first.id, "localhost/kept:1").unwrap();
        images.untag(REDIS).unwrap();
        assert_eq!(images.get(&first.id).unwrap().unwrap().repo_digests, Vec::<String>::new());
    }

    #[test]
    fn an_index_of_the_first_version_is_taken_over_with_its_digests() {
        let test = TestStore::new();
        let image = image(&test, "{\"old\":1}");
        test.store.images().insert(&image, &[REDIS.into()], Origin::Registry).unwrap();
        test.store.close_index();
        let old = Connection::open(test.dir.path().join("root/index.db")).unwrap();
        old.execute_batch(
            "DROP TABLE digests; ALTER TABLE names DROP COLUMN manifest_digest; PRAGMA user_version = 1;",
        )
        .unwrap();
        drop(old);

        let store = open(test.dir.path());
        let found = store.images().find(REDIS).unwrap();
        assert_eq!(found.manifests[REDIS], image.manifest_digest);
        assert_eq!(found.repo_digests, [format!("registry.example/redis@{}", image.manifest_digest)]);
    }
}
