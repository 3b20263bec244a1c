use std::path::Path;

use super::{RegistriesConf, RegistriesConfError};
use crate::reference::Reference;

fn conf(texts: &[&str]) -> RegistriesConf {
    let mut conf = RegistriesConf::default();
    for text in texts {
        conf.add_file(Path::new("test.conf"), text).unwrap();
    }
    conf
}

fn candidates(conf: &RegistriesConf, name: &str) -> Vec<String> {
    conf.candidates(name).unwrap().iter().map(ToString::to_string).collect()
}

fn places(conf: &RegistriesConf, name: &str) -> Vec<String> {
    let reference = Reference::parse(name).unwrap();
    let found = conf.locations(&reference, None).unwrap();
    found
        .iter()
        .map(|place| {
            let mark = if place.authority.insecure { " insecure" } else { "" };
            format!("{}{mark}", place.reference)
        })
        .collect()
}

#[test]
fn without_configuration_a_short_name_means_docker_hub() {
    let none = RegistriesConf::default();
    assert_eq!(candidates(&none, "redis:7"), ["docker.io/library/redis:7"]);
    assert_eq!(candidates(&none, "quay.io/a/b"), ["quay.io/a/b"]);
    assert_eq!(places(&none, "redis"), ["docker.io/library/redis"]);
}

#[test]
fn short_names_go_through_aliases_then_the_search_list() {
    let conf = conf(&[
        "unqualified-search-registries = ['quay.io', 'docker.io']\n[aliases]\n'fedora' = 'registry.fedoraproject.org/fedora'",
        "[aliases]\n'a/b' = 'quay.io/c/d'\n'gone' = 'quay.io/gone'",
        "[aliases]\n'gone' = ''",
    ]);
    assert_eq!(candidates(&conf, "fedora:40"), ["registry.fedoraproject.org/fedora:40"]);
    assert_eq!(candidates(&conf, "a/b"), ["quay.io/c/d"]);
    assert_eq!(candidates(&conf, "redis"), ["quay.io/redis", "docker.io/library/redis"]);
    assert_eq!(candidates(&conf, "gone"), ["quay.io/gone", "docker.io/library/gone"]);
}

#[test]
fn the_longest_prefix_decides_where_an_image_is() {
    let conf = conf(&[r#"
        [[registry]]
        prefix = "example.com/foo"
        location = "internal:5000/bar"
        insecure = true
        [[registry]]
        prefix = "example.com"
        location = "other.example"
        [[registry]]
        location = "localhost:5000"
        insecure = true
        [[registry]]
        prefix = "*.wild.example"
        insecure = true
    "#]);
    assert_eq!(places(&conf, "example.com/foo/x:1"), ["internal:5000/bar/x:1 insecure"]);
    assert_eq!(places(&conf, "example.com/food:1"), ["other.example/food:1"]);
    assert_eq!(places(&conf, "localhost:5000/a"), ["localhost:5000/a insecure"]);
    assert_eq!(places(&conf, "localhost:50001/a"), ["localhost:50001/a"]);
    assert_eq!(places(&conf, "a.wild.example:5000/a"), ["a.wild.example:5000/a insecure"]);
    assert_eq!(places(&conf, "wild.example/a"), ["wild.example/a"]);
}

#[test]
fn mirrors_come_first_and_some_only_serve_digests() {
    let conf = conf(&[r#"
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror-1:5000"
        insecure = true
        [[registry.mirror]]
        location = "mirror-2"
        pull-from-mirror = "digest-only"
    "#]);
    assert_eq!(
        places(&conf, "redis:7"),
        ["mirror-1:5000/library/redis:7 insecure", "docker.io/library/redis:7"].map(str::to_owned)
    );
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(places(&conf, &format!("redis@{digest}")).len(), 3);
}

#[test]
fn the_command_line_decides_over_insecure() {
    let conf = conf(&["[[registry]]\nlocation='r.io'\ninsecure=true"]);
    let reference = Reference::parse("r.io/a").unwrap();
    let insecure = |verify| conf.locations(&reference, verify).unwrap()[0].authority.insecure;
    assert!(insecure(None));
    assert!(!insecure(Some(true)));
    assert!(insecure(Some(false)));
}

#[test]
fn a_blocked_registry_and_broken_files_are_named() {
    let blocked = conf(&["[[registry]]\nlocation='r.io/bad'\nblocked=true"]);
    let reference = Reference::parse("r.io/bad/a").unwrap();
    assert!(matches!(blocked.locations(&reference, None), Err(RegistriesConfError::Blocked { .. })));
    let refused = |text| RegistriesConf::default().add_file(Path::new("x"), text).unwrap_err();
    assert!(matches!(refused("= 1"), RegistriesConfError::Toml { .. }));
    assert!(matches!(refused("[registries.search]\nregistries=['a']"), RegistriesConfError::Version1 { .. }));
    assert!(matches!(refused("[[registry]]\nblocked=true"), RegistriesConfError::Prefix { .. }));
    assert!(matches!(refused("[[registry]]\nprefix='a*b'"), RegistriesConfError::Prefix { .. }));
}

#[test]
fn drop_in_files_count_in_the_order_of_their_names() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("20.conf"), "unqualified-search-registries=['b.io']").unwrap();
    std::fs::write(directory.path().join("10.conf"), "unqualified-search-registries=['a.io']").unwrap();
    std::fs::write(directory.path().join("30.txt"), "not read").unwrap();
    let conf = RegistriesConf::load_files(&[], &[directory.path().to_owned()]).unwrap();
    assert_eq!(candidates(&conf, "x"), ["b.io/x"]);
}

#[test]
fn the_null_device_is_an_empty_file() {
    let conf = RegistriesConf::load_files(&["/dev/null".into()], &[]).unwrap();
    assert_eq!(candidates(&conf, "x"), candidates(&RegistriesConf::default(), "x"));
    assert!(RegistriesConf::load_files(&["/dev/zero".into()], &[]).is_err());
}
