//! pause, resume and update.

use std::io::Write;
use std::process::Stdio;

use crate::bundle::{Bundle, eventually};

#[test]
fn a_paused_container_stands_still_until_it_is_resumed() {
    let bundle = Bundle::sh("n=0; while :; do n=$((n+1)); echo $n > /count; done");
    bundle.start();
    let count = || std::fs::read_to_string(bundle.rootfs().join("count")).unwrap_or_default();
    eventually("it counts", || !count().trim().is_empty());
    bundle.must(&["pause", &bundle.id]);
    assert_eq!(bundle.status(), "paused");
    let before = count();
    assert_eq!(bundle.try_verb(&["pause", &bundle.id]).code, 1);
    assert_eq!(bundle.try_verb(&["exec", &bundle.id, "true"]).code, 255);
    assert_eq!(count(), before);
    bundle.must(&["resume", &bundle.id]);
    assert_eq!(bundle.status(), "running");
    eventually("it goes on", || !matches!(count().trim(), "" | "0") && count() != before);
    assert_eq!(bundle.try_verb(&["resume", &bundle.id]).code, 1);
}

#[test]
fn a_paused_container_can_be_killed_and_deleted() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    bundle.must(&["pause", &bundle.id]);
    bundle.must(&["kill", &bundle.id, "KILL"]);
    eventually("it is stopped", || bundle.status() == "stopped");
    bundle.must(&["delete", &bundle.id]);

    bundle.start();
    bundle.must(&["pause", &bundle.id]);
    bundle.must(&["delete", "--force", &bundle.id]);
    assert!(bundle.cgroups().is_empty() && !bundle.state_dir().exists());
}

#[test]
fn an_update_that_fails_changes_nothing_and_one_that_succeeds_is_kept_with_the_container() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let dir = bundle.controller_dir("pids");
    let limit = || std::fs::read_to_string(dir.join("pids.max")).unwrap().trim().to_owned();
    bundle.must(&["update", "--pids-limit", "21", &bundle.id]);
    // Pages of a size that no machine has: the limit of processes is written before.
    let file = bundle.dir.path().join("resources.json");
    std::fs::write(&file, r#"{"pids": {"limit": 22}, "hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}"#)
        .unwrap();
    let outcome = bundle.try_verb(&["update", "-r", file.to_str().unwrap(), &bundle.id]);
    assert!(outcome.code == 1 && outcome.stderr.contains("hugepageLimits"), "{outcome:?}");
    assert_eq!(limit(), "21");
    let kept = || -> serde_json::Value {
        let text = std::fs::read_to_string(bundle.state_dir().join("config.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["linux"]["resources"].clone()
    };
    assert_eq!(kept()["pids"]["limit"], 21);
    assert_eq!(kept()["devices"], bundle.spec["linux"]["resources"]["devices"]);
    bundle.must(&["update", "--memory", "64m", "--memory-swap", "-1", &bundle.id]);
    bundle.must(&["update", "--memory", "32m", &bundle.id]);
    assert_eq!(kept()["memory"], serde_json::json!({"limit": 32 << 20, "swap": -1}));
    // The configuration is a valid one still.
    assert_eq!(bundle.exec("echo executed").stdout, "executed\n");
}

#[test]
fn update_takes_options_a_file_and_standard_input() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let dir = bundle.controller_dir("pids");
    let limit = || std::fs::read_to_string(dir.join("pids.max")).unwrap().trim().to_owned();
    bundle.must(&["update", "--pids-limit", "21", &bundle.id]);
    assert_eq!(limit(), "21");
    let file = bundle.dir.path().join("resources.json");
    std::fs::write(&file, r#"{"pids": {"limit": 22}}"#).unwrap();
    bundle.must(&["update", "-r", file.to_str().unwrap(), &bundle.id]);
    assert_eq!(limit(), "22");

    let mut child =
        bundle.oci(&["update", "--resources", "-", &bundle.id]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"pids": {"limit": 23}}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(limit(), "23");
    for words in [
        &["update", &bundle.id][..],
        &["update", "--pids-limit", "many", &bundle.id],
        &["update", "--memory", "1x", &bundle.id],
        &["update", "--resources", "/no/such", &bundle.id],
    ] {
        assert_eq!(bundle.try_verb(words).code, 1, "{words:?}");
    }
    assert_eq!(limit(), "23");
}
