//! The index of a layer and the unpacked layer: both are refused, or both show the same files.

#[path = "../../lazy/tests/support/archive.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, missing_debug_implementations)]
mod archive;
mod support;
#[path = "../../lazy/tests/support/tree.rs"]
#[allow(dead_code, clippy::unwrap_used, unreachable_pub, missing_docs)]
mod tree;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};

    use gaufre_lazy::layer::LayerLimits;
    use gaufre_lazy::{mount_index, write_index};
    use proptest::prelude::*;

    use crate::archive::Archive;
    use crate::support::TestStore;
    use crate::tree::describe;

    /// One entry; names and targets repeat, so that entries meet.
    #[derive(Debug, Clone)]
    enum Step {
        Directory(String),
        File(String, usize),
        Sparse(String, Vec<(u16, u16)>),
        Symlink(String, String),
        HardLink(String, String),
        Node(u8, String),
        Xattr(&'static str, Vec<u8>),
        Header(&'static str, &'static str),
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            60 => "[a-c]",
            2 => Just(".wh..wh..opq".to_owned()),
            6 => "\\.wh\\.[a-c]",
            1 => prop::sample::select(vec!["", ".", "..", ".wh.", ".wh..wh.x", "é", "d/a/b/c"]).prop_map(str::to_owned),
            1 => Just("n".repeat(80)),
        ]
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(name(), 1..4).prop_map(|parts| parts.join("/"))
    }

    fn target() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => prop::collection::vec("[a-c]|\\.\\.|\\.", 1..4).prop_map(|parts| parts.join("/")),
            2 => "/[a-c]",
            1 => Just("/".to_owned()),
        ]
    }

    /// Access control lists, mostly whole: a version, then entries of tag, permissions and ID.
    fn acl() -> impl Strategy<Value = Vec<u8>> {
        let entry = (prop::sample::select(vec![1_u16, 2, 4, 8, 16, 32]), 0_u16..9, any::<bool>());
        let entries = prop_oneof![
            3 => (0_u16..8, 0_u16..8, 0_u16..8, any::<bool>()).prop_map(|(user, group, other, masked)| {
                let named = if masked { vec![(2, user, true), (4, group, false), (16, other, false)] } else { vec![(4, group, false)] };
                [vec![(1, user, false)], named, vec![(32, other, false)]].concat()
            }),
            1 => prop::collection::vec(entry, 0..6),
        ];
        (prop::sample::select(vec![2_u32, 2, 2, 2, 1]), entries, 0_usize..20).prop_map(
            |(version, entries, cut)| {
                let mut value = version.to_le_bytes().to_vec();
                for (tag, permissions, has_id) in entries {
                    value.extend(tag.to_le_bytes());
                    value.extend(permissions.to_le_bytes());
                    value.extend(if has_id { 1000_u32 } else { u32::MAX }.to_le_bytes());
                }
                value.truncate(value.len().saturating_sub(if cut < 18 { 0 } else { cut }));
                value
            },
        )
    }

    fn xattr() -> impl Strategy<Value = Step> {
        let value = prop::collection::vec(any::<u8>(), 0..40);
        let names = vec![
            "user.a",
            "user.b",
            "user.overlay.opaque",
            "trusted.overlay.opaque",
            "security.selinux",
            "user.",
        ];
        let capability = (0_u8..2, prop::sample::select(vec![20_usize, 20, 24, 3]), 1_u8..4).prop_map(
            |(effective, len, revision)| {
                let mut value = vec![0; len];
                value[0] = effective;
                *value.get_mut(3).unwrap_or(&mut 0) = revision;
                value
            },
        );
        prop_oneof![
            3 => (prop::sample::select(names), value).prop_map(|(name, value)| Step::Xattr(name, value)),
            1 => acl().prop_map(|value| Step::Xattr("system.posix_acl_access", value)),
            1 => acl().prop_map(|value| Step::Xattr("system.posix_acl_default", value)),
            1 => capability.prop_map(|value| Step::Xattr("security.capability", value)),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        let headers = vec![
            ("mtime", "1234567890.123456789"),
            ("mtime", "-1.5"),
            ("uid", "4000000000"),
            ("gid", "70000"),
            ("uid", "12"),
            ("mtime", "1.000000001"),
            ("path", "a/b"),
            ("uid", "4294967296"),
        ];
        prop_oneof![
            5 => path().prop_map(Step::Directory),
            4 => (path(), 0_usize..3000).prop_map(|(path, len)| Step::File(path, len)),
            1 => (path(), prop::collection::vec((0_u16..5000, 0_u16..4), 0..6))
                .prop_map(|(path, pieces)| Step::Sparse(path, pieces)),
            3 => (path(), target()).prop_map(|(path, target)| Step::Symlink(path, target)),
            3 => (path(), path()).prop_map(|(path, target)| Step::HardLink(path, target)),
            1 => (prop::sample::select(vec![b'3', b'4', b'6']), path()).prop_map(|(kind, path)| Step::Node(kind, path)),
            2 => xattr(),
            1 => prop::sample::select(headers).prop_map(|(key, value)| Step::Header(key, value)),
        ]
    }

    fn archive(steps: &[Step]) -> Vec<u8> {
        let mut archive = Archive::default();
        let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Xattr(name, value) => {
                    drop(records.insert(format!("SCHILY.xattr.{name}"), value.clone()));
                }
                Step::Header(key, value) => {
                    drop(records.insert((*key).to_owned(), value.as_bytes().to_vec()));
                }
                _ => {
                    let data = |len: usize| {
                        (0..len).map(|at| (at * 7 + number).to_le_bytes()[0] | 1).collect::<Vec<u8>>()
                    };
                    let mut sparse = Vec::new();
                    if let Step::Sparse(_, pieces) = step {
                        let (mut at, mut map, mut len) = (0, Vec::new(), 0);
                        for &(gap, blocks) in pieces {
                            map.extend(
                                [at + u64::from(gap), u64::from(blocks) * 512]
                                    .map(|number| number.to_string()),
                            );
                            at += u64::from(gap) + u64::from(blocks) * 512;
                            len += usize::from(blocks) * 512;
                        }
                        sparse = data(len);
                        for (key, value) in [("major", "0"), ("minor", "1"), ("map", &map.join(","))] {
                            records.insert(format!("GNU.sparse.{key}"), value.into());
                        }
                        records.insert("GNU.sparse.size".to_owned(), (at + 100).to_string().into());
                    }
                    let written: Vec<_> =
                        records.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
                    if !written.is_empty() {
                        archive = archive.pax(&written);
                    }
                    records.clear();
                    archive = match step {
                        Step::Directory(path) => archive.dir(&long(path)),
                        Step::File(path, len) => archive.file(&long(path), &data(*len)),
                        Step::Sparse(path, _) => archive.file(&long(path), &sparse),
                        Step::Symlink(path, target) => archive.symlink(&long(path), target),
                        Step::HardLink(path, target) => archive.hard_link(&long(path), target),
                        Step::Node(kind, path) => archive.raw(*kind, &long(path), "", 0, b""),
                        Step::Xattr(..) | Step::Header(..) => archive,
                    };
                }
            }
        }
        archive.end()
    }

    /// As much of the name as a header holds.
    fn long(path: &str) -> String {
        path.chars().take(90).collect()
    }

    /// What is seen of both. A whiteout's owner and time are nobody's business, and the store does not set them.
    fn seen(root: &Path) -> BTreeMap<PathBuf, String> {
        let mut seen = describe(root);
        for (path, text) in &mut seen {
            if text.starts_with("20000 ") && text.contains(" device 0 ") {
                *text = format!("whiteout {}", path.display());
            }
        }
        seen
    }

    fn cases() -> u32 {
        std::env::var("GAUFRE_INDEX_CASES").map_or(200, |cases| cases.parse().unwrap())
    }

    #[test]
    fn random_archives_are_refused_by_both_or_show_the_same() {
        let accepted = std::cell::Cell::new(0);
        let config =
            ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = prop::test_runner::TestRunner::new(config);
        let test = TestStore::new();
        runner
            .run(&prop::collection::vec(step(), 1..14), |steps| {
                let tar = archive(&steps);
                // Both are asked, and must agree.
                let (diff_id, outcome) = test.add(&tar);
                let Ok(outcome) = outcome else { return Ok(()) };
                accepted.set(accepted.get() + 1);
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&tar).unwrap();
                let index = tempfile::tempfile().unwrap();
                let indexed = write_index(tar.as_slice(), &index, &LayerLimits::default()).unwrap();
                prop_assert_eq!(indexed.files, outcome.info().files);
                prop_assert_eq!(indexed.size_bytes, outcome.info().size_bytes);
                let mounted = mount_index(&index, &file).unwrap();
                let root = PathBuf::from(format!("/proc/self/fd/{}/.", mounted.as_raw_fd()));
                let (unpacked, mounted) = (seen(&test.layer_tree(&diff_id)), seen(&root));
                prop_assert_eq!(unpacked, mounted);
                Ok(())
            })
            .unwrap();
        let accepted = accepted.get();
        println!("{accepted} of {} layers were accepted", cases());
        assert!(accepted * 8 > cases(), "only {accepted} of {} layers were accepted", cases());
    }
}
