//! kill.

use serde_json::json;

use crate::bundle::{Bundle, eventually};

fn notes_signals() -> Bundle {
    let bundle = Bundle::sh(
        "for s in HUP USR1 TERM RTMIN; do trap \"echo $s >> /got\" $s; done; echo > /ready; while :; do sleep 0.05; done",
    );
    bundle.start();
    eventually("it is ready", || bundle.rootfs().join("ready").exists());
    bundle
}

#[test]
fn a_signal_has_a_name_or_a_number_and_is_term_without_one() {
    let bundle = notes_signals();
    let mut expected = String::new();
    for (word, name) in
        [("HUP", "HUP"), ("SIGUSR1", "USR1"), ("usr1", "USR1"), ("1", "HUP"), ("", "TERM"), ("-10", "USR1")]
    {
        let words = ["kill", &bundle.id, word];
        bundle.must(if word.is_empty() { &words[..2] } else { &words });
        expected.push_str(&format!("{name}\n"));
        let got = || std::fs::read_to_string(bundle.rootfs().join("got")).unwrap_or_default();
        eventually("the signal arrives", || got() == expected);
    }
    bundle.must(&["kill", &bundle.id, "0"]);
    for word in ["NOSUCH", "65", "-x"] {
        assert_eq!(bundle.try_verb(&["kill", &bundle.id, word]).code, 1, "{word}");
    }
}

#[test]
fn all_processes_are_signalled_also_when_the_first_has_ended() {
    // In the host's PID namespace others outlive the first one.
    let mut bundle = Bundle::sh("sleep 60 & sleep 60 & wait");
    let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != "pid");
    bundle.start();
    let pids = || -> usize {
        let root = bundle.controller_dir("pids");
        std::fs::read_to_string(root.join("cgroup.procs")).unwrap().lines().count()
    };
    eventually("three processes", || pids() == 3);
    bundle.must(&["kill", &bundle.id, "KILL"]);
    eventually("it is stopped", || bundle.status() == "stopped");
    assert!(pids() > 0);
    bundle.must(&["kill", "-a", &bundle.id, "TERM"]);
    eventually("nobody is left", || pids() == 0);
    bundle.must(&["delete", &bundle.id]);
}

#[test]
fn a_killed_container_takes_all_its_processes_along() {
    let bundle = Bundle::sh("sleep 60 & sleep 60 & wait").with("/process/args", json!(["sleep", "60"]));
    bundle.start();
    bundle.must(&["kill", "--all", &bundle.id, "9"]);
    eventually("it is stopped", || bundle.status() == "stopped");
}
