//! Exit codes: runc's.

use serde_json::json;

use crate::bundle::{Bundle, eventually};

#[test]
fn a_failure_is_1_that_of_exec_255_and_an_unknown_verb_3() {
    let bundle = Bundle::sh("sleep 60");
    for (words, code) in [
        (&["state", "nobody"][..], 1),
        (&["start", "nobody"], 1),
        (&["kill", "nobody", "KILL"], 1),
        (&["delete", "nobody"], 1),
        (&["delete", "--force", "nobody"], 0),
        (&["pause", "nobody"], 1),
        (&["exec", "nobody", "true"], 255),
        (&["state"], 1),
        (&["state", "--nosuch", "x"], 1),
        (&["nosuch"], 3),
        (&["checkpoint", "--image-path", "/x", "nobody"], 1),
        (&["--root"], 1),
    ] {
        let outcome = bundle.try_verb(words);
        assert_eq!(outcome.code, code, "{words:?}: {outcome:?}");
        assert_eq!(outcome.stderr.is_empty(), code == 0, "{words:?}: {outcome:?}");
    }
}

#[test]
fn a_program_that_is_missing_is_found_out_by_create_and_named() {
    for (program, reason) in
        [("nosuch", "no such file or directory"), ("/no/such", "no such file"), ("/etc", "permission denied")]
    {
        let bundle = Bundle::sh("").with("/process/args", json!([program]));
        for verb in ["create", "run"] {
            let outcome = bundle.try_in_bundle(&[verb, &bundle.id]);
            assert_eq!(outcome.code, 1, "{outcome:?}");
            assert!(outcome.stderr.contains(program) && outcome.stderr.contains(reason), "{outcome:?}");
            assert!(!bundle.state_dir().exists() && bundle.cgroups().is_empty(), "{verb} left something");
        }
    }
}

#[test]
fn verbs_that_do_not_fit_the_state_fail_in_the_words_that_drivers_look_for() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let id = bundle.id.as_str();
    let says = |words: &[&str], text: &str| {
        let outcome = bundle.try_verb(words);
        assert!(outcome.code != 0 && outcome.stderr.contains(text), "{words:?}: {outcome:?}");
    };
    says(&["start", id], "running");
    says(&["delete", id], "is running");
    says(&["resume", id], "not paused");
    says(&["state", "nobody"], "does not exist");
    bundle.must(&["kill", id, "KILL"]);
    eventually("it is stopped", || bundle.status() == "stopped");
    says(&["kill", id, "KILL"], "container not running");
    says(&["exec", id, "true"], "not running");
    says(&["pause", id], "container not running");
    says(&["update", "--pids-limit", "9", id], "container not running");
    says(&["events", "--stats", id], "is not running");
    says(&["start", id], "stopped");
    bundle.must(&["kill", "--all", id, "KILL"]);
    bundle.must(&["delete", id]);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let bundle = Bundle::sh("");
    for verb in ["checkpoint", "restore"] {
        let outcome = bundle.try_verb(&[verb, "--work-path", "/x", "nobody"]);
        assert!(outcome.stderr.contains(&format!("{verb} is not supported")), "{outcome:?}");
    }
    let outcome = bundle.try_verb(&["update", "--l3-cache-schema", "x", "nobody"]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
}

#[test]
fn every_verb_has_help() {
    let bundle = Bundle::sh("");
    let help = bundle.must(&["--help"]);
    for verb in ["create", "start", "run", "exec", "state", "list", "ps", "events", "kill", "pause", "resume"]
    {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is not in the help");
        assert!(bundle.must(&[verb, "--help"]).contains(&format!("{verb} [options]")));
    }
    assert!(bundle.must(&["--version"]).starts_with("gaufre-oci version "));
}
