//! AppArmor with a profile of the tests' own, which forbids one file: loaded in the test VM (`cargo xtask vm --tests apparmor`).

use serde_json::json;

use crate::bundle::Bundle;

const PROFILE: &str = "gaufre-test";
const SCRIPT: &str = "cat /proc/self/attr/current /allowed /forbidden";

fn confined(script: &str, profile: Option<&str>) -> Bundle {
    let bundle = Bundle::sh(script);
    for name in ["allowed", "forbidden"] {
        std::fs::write(bundle.rootfs().join(name), format!("{name}\n")).unwrap();
    }
    match profile {
        Some(profile) => bundle.with("/process/apparmorProfile", json!(profile)),
        None => bundle,
    }
}

#[test]
#[ignore = "needs AppArmor with a profile of its own: it runs in the test VM"]
fn the_process_is_under_the_asked_profile_which_confines_it() {
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    assert_eq!(enabled.expect("AppArmor is not there"), "Y\n");
    assert_eq!(confined(SCRIPT, None).stdout(), "unconfined\nallowed\nforbidden\n");
    for no_new_privileges in [true, false] {
        let bundle =
            confined(SCRIPT, Some(PROFILE)).with("/process/noNewPrivileges", json!(no_new_privileges));
        let outcome = bundle.run();
        assert_eq!((outcome.code, outcome.stdout), (1, format!("{PROFILE} (enforce)\nallowed\n")));
        assert!(outcome.stderr.contains("/forbidden': Permission denied"), "{}", outcome.stderr);
    }
    let error = confined(SCRIPT, Some("no-such-profile")).failure();
    assert!(error.contains("process.apparmorProfile") && error.contains("no-such-profile"), "{error}");
}

#[test]
#[ignore = "needs AppArmor with a profile of its own: it runs in the test VM"]
fn an_executed_process_is_under_the_container_s_profile_or_the_one_asked_for() {
    let bundle = confined("sleep 60", Some(PROFILE));
    bundle.start();
    let outcome = bundle.exec(SCRIPT);
    assert_eq!((outcome.code, outcome.stdout), (1, format!("{PROFILE} (enforce)\nallowed\n")));
    let free = confined("sleep 60", None);
    free.start();
    assert_eq!(free.exec(SCRIPT).stdout, "unconfined\nallowed\nforbidden\n");
    let outcome = free.try_verb(&["exec", "--apparmor", PROFILE, &free.id, "sh", "-c", SCRIPT]);
    assert_eq!((outcome.code, outcome.stdout), (1, format!("{PROFILE} (enforce)\nallowed\n")));
}
