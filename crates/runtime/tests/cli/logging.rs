//! Where messages go.

use std::fs;

use serde_json::Value;

use crate::bundle::Bundle;

#[test]
fn a_json_log_has_one_object_in_a_line_as_containerd_and_podman_read_it() {
    let bundle = Bundle::sh("");
    let log = bundle.dir.path().join("log.json");
    for _ in 0..2 {
        let words = ["--log", log.to_str().unwrap(), "--log-format", "json", "kill", "nobody", "KILL"];
        let outcome = bundle.try_verb(&words);
        assert_eq!(outcome.code, 1);
        assert_eq!(
            outcome.stderr, "gaufre-oci: container nobody does not exist\n",
            "as text on standard error"
        );
    }
    let text = fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "a log is added to");
    for line in lines {
        assert_eq!(
            (&line["level"], &line["msg"]),
            (&"error".into(), &"container nobody does not exist".into())
        );
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
        assert_eq!(line.as_object().unwrap().len(), 3);
    }
}

#[test]
fn a_text_log_is_as_runc_s() {
    let bundle = Bundle::sh("");
    let log = bundle.dir.path().join("log");
    bundle.try_verb(&["--log", log.to_str().unwrap(), "state", "nobody"]);
    let text = fs::read_to_string(log).unwrap();
    assert!(
        text.starts_with("time=\"2")
            && text.ends_with("level=error msg=\"container nobody does not exist\"\n")
    );
}

#[test]
fn without_a_log_the_form_is_that_of_standard_error() {
    let outcome = Bundle::sh("").try_verb(&["--log-format=json", "state", "nobody"]);
    let line: Value = serde_json::from_str(&outcome.stderr).unwrap();
    assert_eq!(line["level"], "error");
}

#[test]
fn a_log_that_cannot_be_written_hides_nothing() {
    let outcome = Bundle::sh("").try_verb(&["--log", "/no/such/log", "state", "nobody"]);
    assert!(outcome.code == 1 && outcome.stderr.contains("does not exist"), "{outcome:?}");
}

#[test]
fn debug_messages_come_on_request_only() {
    let bundle = Bundle::sh("true");
    assert_eq!(bundle.try_in_bundle(&["run", &bundle.id]).stderr, "");
    let outcome = bundle.try_in_bundle(&["--debug", "run", &bundle.id]);
    assert!(outcome.code == 0 && outcome.stderr.contains("level=debug"), "{outcome:?}");
}

#[test]
fn escape_sequences_of_a_bundle_do_not_reach_the_terminal() {
    let bundle = Bundle::sh("").with("/process/args", serde_json::json!(["/no\u{1b}[2Jsuch"]));
    let outcome = bundle.try_in_bundle(&["run", &bundle.id]);
    assert!(
        outcome.stderr.contains("/no\\u{1b}[2Jsuch") && !outcome.stderr.contains('\u{1b}'),
        "{outcome:?}"
    );
}

#[test]
fn options_that_cannot_be_are_refused() {
    for words in [
        ["--log-format", "xml", "list"],
        ["--rootless", "maybe", "list"],
        ["--cgroup-manager", "nosuch", "list"],
        ["--log-level", "loud", "list"],
    ] {
        assert_eq!(Bundle::sh("").try_verb(&words).code, 1, "{words:?}");
    }
}
