//! Two containers that one after the other use the same group: `linux.cgroupsPath`.

use serde_json::json;

use crate::bundle::{Bundle, eventually};

fn in_group(bundle: Bundle, name: &str) -> Bundle {
    bundle.with("/linux/cgroupsPath", json!(format!("/gaufre/{name}")))
}

#[test]
fn deleting_a_container_that_has_ended_leaves_the_one_that_took_its_group_over_alone() {
    let first = Bundle::sh("true");
    let name = first.id.clone();
    let first = in_group(first, &name);
    first.start();
    eventually("it has ended", || first.status() == "stopped");
    let second = in_group(Bundle::sh("sleep 600"), &name);
    second.start();
    let outcome = first.try_verb(&["kill", "--all", &first.id, "KILL"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("not running"), "{outcome:?}");
    assert_eq!(first.try_verb(&["kill", "--all", &first.id, "TERM"]).code, 1);
    first.must(&["delete", "--force", &first.id]);
    assert_eq!(second.status(), "running");
    assert_eq!(second.exec("echo well").stdout, "well\n");
    assert!(!first.cgroups().is_empty());
    second.must(&["delete", "--force", &second.id]);
    assert!(first.cgroups().is_empty(), "who took it over removes it");
}

#[test]
fn a_group_with_processes_is_refused_and_stays_as_it_is() {
    let first = Bundle::sh("sleep 600");
    let name = first.id.clone();
    let first = in_group(first, &name);
    first.start();
    let second = in_group(Bundle::sh("true"), &name);
    let outcome = second.run();
    assert!(outcome.code == 1 && outcome.stderr.contains("is in use"), "{outcome:?}");
    assert_eq!(first.exec("echo well").stdout, "well\n");
    first.must(&["delete", "--force", &first.id]);
    assert!(first.cgroups().is_empty());
}
