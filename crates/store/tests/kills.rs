//! Processes killed at random instants, and several at once: the store stays sound.

#[path = "support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    use gaufre_store::{ImageRecord, LayerLimits, LayerOutcome, Origin, Store};
    use oci_spec::image::Digest;

    use crate::support::{Tar, TestStore, digest_of, open};

    /// Set for the copies of this program that do the work and are killed.
    const HELPER: &str = "GAUFRE_STORE_TEST_HELPER";

    fn layer(number: u64) -> Vec<u8> {
        let data: Vec<u8> = (0..40_000_u64).map(|at| at.wrapping_mul(number + 7).to_le_bytes()[0]).collect();
        let start = Tar::default().dir("d");
        (0..40).fold(start, |tar, file| tar.file(&format!("d/{number}-{file}"), &data)).end()
    }

    /// Adds an image of four layers, removes another one, collects; as a pull beside a removal does.
    fn add_and_remove(store: &Store, number: u64) {
        let lease = store.lease().unwrap();
        let tars: Vec<Vec<u8>> = (0..4).map(|part| layer(number + part)).collect();
        let layers: Vec<Digest> = tars.iter().map(|tar| digest_of(tar)).collect();
        for (diff_id, tar) in layers.iter().zip(&tars) {
            store.add_layer(&lease, diff_id, tar.as_slice(), &LayerLimits::default()).unwrap();
        }
        let list: Vec<String> = layers.iter().map(|layer| format!("\"{layer}\"")).collect();
        let config = format!("{{\"rootfs\":{{\"diff_ids\":[{}]}}}}", list.join(","));
        let manifest = format!("{{\"number\":{number}}}");
        let (id, manifest_digest) = (digest_of(config.as_bytes()), digest_of(manifest.as_bytes()));
        store.put_blob(&id, config.as_bytes()).unwrap();
        store.put_blob(&manifest_digest, manifest.as_bytes()).unwrap();
        let image = ImageRecord {
            id,
            manifest_digest,
            index_digest: None,
            layers,
            size_bytes: 0,
            created: None,
            architecture: "amd64".into(),
            os: "linux".into(),
        };
        store.images().insert(&image, &[format!("localhost/test:{}", number % 3)], Origin::Registry).unwrap();
        drop(lease);
        store.prune(&gaufre_store::PruneOptions::default()).unwrap();
    }

    /// Not a test by itself: what the copies of this program do until they are killed.
    #[test]
    fn helper_that_is_killed() {
        let Ok(dir) = std::env::var(HELPER) else { return };
        let store = open(Path::new(&dir));
        let start = u64::from(std::process::id());
        for number in start.. {
            add_and_remove(&store, number % 12);
        }
    }

    fn start_helper(dir: &Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::helper_that_is_killed", "--nocapture"])
            .env(HELPER, dir)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    #[test]
    fn a_kill_at_any_instant_leaves_a_store_that_works() {
        let test = TestStore::new();
        for round in 0..30_u64 {
            let mut helpers = [start_helper(test.dir.path()), start_helper(test.dir.path())];
            std::thread::sleep(Duration::from_millis(20 + round * 37 % 250));
            for helper in &mut helpers {
                assert!(helper.try_wait().unwrap().is_none(), "a helper failed by itself");
                helper.kill().unwrap();
                helper.wait().unwrap();
            }
            let report = open(test.dir.path()).check(false).unwrap();
            assert!(report.is_sound(), "round {round}: {:?}", report.findings);
        }
        add_and_remove(&test.store, 100);
        let reclaimed = test.store.gc(&[]).unwrap();
        assert!(!reclaimed.postponed);
        for part in ["staging", "locks"] {
            let left: Vec<_> = std::fs::read_dir(test.store.root().join(part))
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            assert!(left.iter().all(|name| name == "lease"), "{part}: {left:?}");
        }
    }

    #[test]
    fn of_two_adders_of_one_layer_one_works_and_the_other_waits() {
        let test = TestStore::new();
        let tar = layer(1);
        let diff_id = digest_of(&tar);
        let outcomes: Vec<LayerOutcome> = std::thread::scope(|scope| {
            let adders: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let store = open(test.dir.path());
                        let lease = store.lease().unwrap();
                        let limits = LayerLimits::default();
                        store.add_layer(&lease, &diff_id, tar.as_slice(), &limits).unwrap()
                    })
                })
                .collect();
            adders.into_iter().map(|adder| adder.join().unwrap()).collect()
        });
        let added = outcomes.iter().filter(|outcome| matches!(outcome, LayerOutcome::Added(_))).count();
        assert_eq!(added, 1);
        assert!(test.store.check(false).unwrap().is_sound());
    }

    /// A layer that begins and does not go on until the other end of the channel is dropped.
    struct Stuck<'a> {
        begun: std::sync::mpsc::Sender<()>,
        on: std::sync::mpsc::Receiver<()>,
        rest: &'a [u8],
    }

    impl std::io::Read for Stuck<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let _ = self.begun.send(());
            let _ = self.on.recv();
            self.rest.read(buffer)
        }
    }

    #[test]
    fn one_who_unpacks_a_layer_without_end_does_not_keep_others_from_it() {
        let test = TestStore::new();
        let tar = layer(1);
        let diff_id = digest_of(&tar);
        let limits =
            LayerLimits { patience: std::time::Duration::from_millis(100), ..LayerLimits::default() };
        let add = |tar: &mut dyn std::io::Read| {
            let store = open(test.dir.path());
            let lease = store.lease().unwrap();
            store.add_layer(&lease, &diff_id, tar, &limits).unwrap()
        };
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (goes_on, on) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| add(&mut Stuck { begun, on, rest: &tar }));
            has_begun.recv().unwrap();
            assert!(matches!(add(&mut tar.as_slice()), LayerOutcome::Added(_)));
            assert!(matches!(add(&mut std::io::empty()), LayerOutcome::Present(_)));
            drop(goes_on);
            assert!(matches!(slow.join().unwrap(), LayerOutcome::Present(_)), "the first that is done wins");
        });
        assert!(test.store.check(false).unwrap().is_sound());
        let left = std::fs::read_dir(test.store.root().join("staging")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_collection_waits_for_those_who_still_add() {
        let test = TestStore::new();
        let lease = test.store.lease().unwrap();
        let (diff_id, outcome) = test.add(&layer(2));
        outcome.unwrap();
        assert!(test.store.gc(&[]).unwrap().postponed);
        assert!(test.store.has_layer(&diff_id).unwrap());
        drop(lease);
        assert_eq!(test.store.gc(&[]).unwrap().layers, 1);
        assert!(!test.store.has_layer(&diff_id).unwrap());
    }
}
