use proptest::prelude::*;

use super::{Reference, ReferenceError};

const DIGEST: &str = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";

#[test]
fn names_are_normalised_as_docker_does() {
    for (typed, canonical) in [
        ("redis", "docker.io/library/redis"),
        ("redis:7", "docker.io/library/redis:7"),
        ("bitnami/redis", "docker.io/bitnami/redis"),
        ("index.docker.io/redis", "docker.io/library/redis"),
        ("docker.io/redis", "docker.io/library/redis"),
        ("localhost/redis", "localhost/redis"),
        ("localhost:5000/redis:7", "localhost:5000/redis:7"),
        ("127.0.0.1:5000/a/b-c/d__e:x.y-z", "127.0.0.1:5000/a/b-c/d__e:x.y-z"),
        ("[::1]:5000/a", "[::1]:5000/a"),
        ("quay.io/a/b", "quay.io/a/b"),
        ("LOCAL/redis", "LOCAL/redis"),
        ("a--b/c", "docker.io/a--b/c"),
    ] {
        assert_eq!(Reference::parse(typed).unwrap().to_string(), canonical);
    }
}

#[test]
fn a_digest_and_a_tag_may_stand_together() {
    let both = Reference::parse(&format!("redis:7@{DIGEST}")).unwrap();
    assert_eq!(both.tag(), Some("7"));
    assert_eq!(both.digest().unwrap().as_ref(), DIGEST);
    assert_eq!(both.manifest_key(), DIGEST);
    assert_eq!(both.to_string(), format!("docker.io/library/redis:7@{DIGEST}"));
}

#[test]
fn the_default_tag_is_added_only_where_nothing_is_given() {
    assert_eq!(Reference::parse("a").unwrap().with_default_tag().tag(), Some("latest"));
    assert_eq!(Reference::parse("a:1").unwrap().with_default_tag().tag(), Some("1"));
    assert_eq!(Reference::parse(&format!("a@{DIGEST}")).unwrap().with_default_tag().tag(), None);
}

#[test]
fn what_is_no_reference_is_refused_with_the_part_that_is_wrong() {
    let refused = |text: &str| Reference::parse(text).unwrap_err();
    assert!(matches!(refused(""), ReferenceError::Empty));
    assert!(matches!(refused(":7"), ReferenceError::Empty));
    assert!(matches!(refused("Redis"), ReferenceError::UpperCase(_)));
    assert!(matches!(refused("quay.io/Redis"), ReferenceError::UpperCase(_)));
    assert!(matches!(refused("a:"), ReferenceError::Tag { .. }));
    assert!(matches!(refused("a:.x"), ReferenceError::Tag { .. }));
    assert!(matches!(refused("a/../b"), ReferenceError::Component { .. }));
    assert!(matches!(refused("a//b"), ReferenceError::Component { .. }));
    assert!(matches!(refused("a___b"), ReferenceError::Component { .. }));
    assert!(matches!(refused("host:99999/a"), ReferenceError::Registry { .. }));
    assert!(matches!(refused("-a.b/c"), ReferenceError::Registry { .. }));
    assert!(matches!(refused("[::1/c"), ReferenceError::Registry { .. }));
    assert!(matches!(refused("a@sha256:12"), ReferenceError::Digest { .. }));
    assert!(matches!(refused("a@md5:00000000000000000000000000000000"), ReferenceError::Digest { .. }));
    assert!(matches!(refused(&"a".repeat(64)), ReferenceError::LooksLikeId(_)));
    assert!(matches!(refused("docker://quay.io/a"), ReferenceError::RegistryTransport { .. }));
    assert!(matches!(refused("oci:/tmp/a"), ReferenceError::FileTransport { path, .. } if path == "/tmp/a"));
    assert!(matches!(refused("docker-archive:./a:1"), ReferenceError::FileTransport { .. }));
    assert!(matches!(refused(&"x/".repeat(200)), ReferenceError::Component { .. }));
    assert!(matches!(refused(&"x".repeat(2000)), ReferenceError::TooLong { .. }));
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_reference(
        registry in "([a-z][a-z0-9]{0,8}\\.[a-z]{2,4}|localhost)(:[1-9][0-9]{0,3})?",
        repository in "[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}(/[a-z0-9]{1,8}(__[a-z0-9]{1,4})?){0,3}",
        tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        digest in proptest::option::of("[0-9a-f]{64}"),
    ) {
        let mut text = format!("{registry}/{repository}");
        if let Some(tag) = &tag { text.push_str(&format!(":{tag}")); }
        if let Some(digest) = &digest { text.push_str(&format!("@sha256:{digest}")); }
        let reference = Reference::parse(&text).unwrap();
        prop_assert_eq!(reference.registry(), registry);
        prop_assert_eq!(reference.tag(), tag.as_deref());
        prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_a_panic(text in "\\PC{0,80}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
        }
    }
}
