//! create, start, state, kill, delete; and what happens when something dies.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bundle::{Bundle, eventually};

#[test]
fn a_sandbox_goes_through_its_states() {
    let bundle = Bundle::sh("touch /started; sleep 60");
    bundle.create();
    assert_eq!(bundle.status(), "created");
    assert!(!bundle.rootfs().join("started").exists());
    bundle.must(&["start", &bundle.id]);
    assert_eq!(bundle.status(), "running");
    assert_ne!(bundle.try_verb(&["delete", &bundle.id]).code, 0);
    eventually("the workload runs", || bundle.rootfs().join("started").exists());
    assert_ne!(bundle.try_verb(&["start", &bundle.id]).code, 0);
    bundle.must(&["kill", &bundle.id, "KILL"]);
    eventually("it is stopped", || bundle.status() == "stopped");
    assert_ne!(bundle.try_verb(&["kill", &bundle.id, "KILL"]).code, 0);
    bundle.must(&["delete", &bundle.id]);
    assert!(bundle.cgroups().is_empty() && !bundle.state_dir().exists());
    assert_ne!(bundle.try_verb(&["state", &bundle.id]).code, 0);
}

#[test]
fn the_exit_code_is_the_workload_s() {
    assert_eq!(Bundle::sh("exit 42").run().code, 42);
    assert_eq!(
        Bundle::sh("kill -TERM $$; sleep 1").run().code,
        0,
        "PID 1 ignores signals it has no handler for"
    );
    assert_eq!(Bundle::sh("sh -c 'kill -KILL $$'; exit $?").run().code, 137);
}

#[test]
fn a_program_missing_or_not_executable_is_named_and_leaves_nothing() {
    for program in ["nosuch", "/no/such", "/etc", "/plain"] {
        let bundle = Bundle::sh("").with("/process/args", json!([program]));
        std::fs::write(bundle.rootfs().join("plain"), "text").unwrap();
        let outcome = bundle.run();
        assert_eq!(outcome.code, 1, "{outcome:?}");
        assert!(outcome.stderr.contains(program), "{outcome:?}");
        assert!(bundle.cgroups().is_empty());
    }
}

#[test]
fn a_failed_start_is_reported_by_start() {
    let bundle = Bundle::sh("").with("/process/args", json!(["/bin/ls"]));
    bundle.create();
    // It was there when create looked.
    std::fs::remove_file(bundle.rootfs().join("bin/ls")).unwrap();
    let outcome = bundle.try_verb(&["start", &bundle.id]);
    assert!(outcome.code == 1 && outcome.stderr.contains("/bin/ls"), "{outcome:?}");
    eventually("it is stopped", || bundle.status() == "stopped");
    bundle.must(&["delete", &bundle.id]);
}

#[test]
fn a_start_that_starts_nothing_fails() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("in");
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "touch /mark/in; sleep 60"]});
    let bundle = Bundle::sh("sleep 60")
        .with("/hooks", json!({"startContainer": [hook]}))
        .mount(json!({"destination": "/mark", "source": dir.path(), "options": ["bind"]}));
    bundle.create();
    let mut command = bundle.bare(&["start", &bundle.id]);
    let mut start = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("its hook runs", || mark.exists());
    bundle.must(&["kill", &bundle.id, "KILL"]);
    assert!(!start.wait().unwrap().success());
    eventually("it is stopped", || bundle.status() == "stopped");
}

#[test]
fn a_paused_container_cannot_be_started_before_it_is_resumed() {
    let bundle = Bundle::sh("sleep 60");
    bundle.create();
    bundle.must(&["pause", &bundle.id]);
    assert_eq!(bundle.status(), "paused");
    let outcome = bundle.try_verb(&["start", &bundle.id]);
    assert!(outcome.code == 1 && outcome.stderr.contains("paused"), "{outcome:?}");
    bundle.must(&["resume", &bundle.id]);
    assert_eq!(bundle.status(), "created");
    bundle.must(&["start", &bundle.id]);
    assert_eq!(bundle.status(), "running");
}

#[test]
fn of_starts_at_the_same_time_one_succeeds_and_runs_the_hooks() {
    for _ in 0..10 {
        let bundle = Bundle::sh("sleep 60");
        let log = bundle.dir.path().join("hooks.log");
        let script = format!("echo started >> {}", log.display());
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        let bundle = bundle.with("/hooks", json!({"poststart": [hook]}));
        bundle.create();
        let start = || {
            let mut command = bundle.bare(&["start", &bundle.id]);
            command.stderr(std::process::Stdio::null()).spawn().unwrap()
        };
        let starts = [start(), start(), start()];
        let succeeded = starts.map(|mut child| child.wait().unwrap().success());
        assert_eq!(succeeded.iter().filter(|success| **success).count(), 1);
        assert_eq!(std::fs::read_to_string(log).unwrap(), "started\n");
    }
}

#[test]
fn an_early_exit_never_hangs() {
    let bundle = Bundle::sh("true").with("/process/args", json!(["true"]));
    for _ in 0..30 {
        assert_eq!(bundle.run().code, 0);
    }
}

#[test]
fn a_second_sandbox_of_the_same_name_is_refused_and_the_first_unharmed() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let outcome = bundle.run();
    assert!(outcome.stderr.contains("exists already"), "{outcome:?}");
    assert_eq!(bundle.status(), "running");
}

#[test]
fn a_runtime_killed_at_any_moment_leaves_what_delete_cleans() {
    for step in 0..40 {
        let bundle = Bundle::sh("sleep 60");
        let started = Instant::now();
        let mut child = bundle.oci(&["run", &bundle.id]).spawn().unwrap();
        while started.elapsed() < Duration::from_micros(250 * step) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        if bundle.state_dir().exists() {
            bundle.must(&["delete", "-f", &bundle.id]);
        }
        assert!(!bundle.state_dir().exists());
        assert!(bundle.cgroups().is_empty(), "killed after {step} steps: {:?}", bundle.cgroups());
    }
}

#[test]
fn many_at_once_all_succeed() {
    let bundles: Vec<_> = (0..20).map(|n| Bundle::sh(&format!("exit {n}"))).collect();
    let children: Vec<_> =
        bundles.iter().map(|bundle| bundle.oci(&["run", &bundle.id]).spawn().unwrap()).collect();
    for (n, mut child) in (0..).zip(children) {
        assert_eq!(child.wait().unwrap().code(), Some(n));
    }
    assert!(bundles.iter().all(|bundle| bundle.cgroups().is_empty()));
}

#[test]
fn without_a_process_there_is_nothing_to_start() {
    let mut bundle = Bundle::sh("");
    bundle.spec.as_object_mut().unwrap().remove("process");
    bundle.create();
    assert_eq!(bundle.status(), "created");
    let log = std::fs::read_to_string(bundle.dir.path().join("log")).unwrap();
    assert!(log.contains("process is not set"), "{log}");
    bundle.must(&["start", &bundle.id]);
    eventually("it is stopped", || bundle.status() == "stopped");
    bundle.must(&["delete", &bundle.id]);
    assert!(bundle.cgroups().is_empty());
}

#[test]
fn an_ended_process_s_id_is_told_as_long_as_it_is_no_other_s() {
    // Whoever makes the container in the foreground is its parent and waits for it at the end only.
    let bundle = Bundle::sh("read line");
    let mut command = bundle.oci(&["run", &bundle.id]);
    let mut run = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    eventually("it runs", || bundle.state_dir().join("state.json").exists() && bundle.status() == "running");
    let (parent, pid) = (run.id().to_string(), bundle.pid());
    let signal = |name: &str| std::process::Command::new("kill").args([name, &parent]).status().unwrap();
    signal("-STOP");
    drop(run.stdin.take());
    eventually("it is stopped", || bundle.status() == "stopped");
    assert_eq!(bundle.pid(), pid);
    signal("-CONT");
    assert!(run.wait().is_ok());
}
