//! How a workload ended is known after its keeper was killed, or said to be unknown.

use crate::fixture::{
    Gate, WAIT, detached, held, holder, holder_after_keeper, keeper, kill9, ready, runs, state, status,
    workload,
};
use gaufre_tests::{Started, free_port, tool, until};
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[test]
fn stop_reaches_a_workload_whose_keeper_was_killed() {
    let (gaufre, image) = ready();
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let id = detached(&gaufre, &image, &["--network=none"], script);
    until("its trap", || gaufre.ok(&["logs", &id]).contains("ready").then_some(()));
    kill9(&keeper(&gaufre, &id));
    gaufre.ok(&["stop", &id]);
    assert_eq!(status(&gaufre, &id)["ExitCode"], 9);
    assert_eq!(gaufre.ok(&["wait", &id]), "9\n");
}

#[test]
fn the_exit_code_is_right_after_a_take_over_or_said_to_be_unknown() {
    let (gaufre, image) = ready();
    // Its end is seen by the second keeper.
    let (seen, gate) = held(&gaufre, &image, "seen", &[], "exit 7");
    kill9(&keeper(&gaufre, &seen));
    gaufre.ok(&["ps"]);
    gate.open();
    assert_eq!(gaufre.ok(&["wait", &seen]), "7\n");
    // It ends while nobody keeps it, but the holder has a pidfd.
    let (unseen, gate) = held(&gaufre, &image, "unseen", &[], "exit 11");
    let pid = workload(&gaufre, &unseen);
    kill9(&keeper(&gaufre, &unseen));
    gate.open();
    until("the end of the workload", || (!runs(&pid)).then_some(()));
    assert_eq!(gaufre.ok(&["wait", &unseen]), "11\n");
    assert_eq!(status(&gaufre, &unseen)["Status"], "exited");
    // Nobody is left who could have seen it.
    let (unknown, gate) = held(&gaufre, &image, "unknown", &[], "exit 7");
    let pid = workload(&gaufre, &unknown);
    kill9(&holder_after_keeper(&gaufre, &unknown));
    gate.open();
    until("the workload to be reaped", || (!PathBuf::from(format!("/proc/{pid}")).exists()).then_some(()));
    let said = gaufre.ok(&["wait", &unknown]);
    assert!(["-1\n", "7\n"].contains(&said.as_str()), "{said}");
    let shown = gaufre.ok(&["ps", "-a", "--filter", &format!("id={unknown}"), "--format", "{{.Status}}"]);
    assert!(shown.starts_with("Exited (unknown)") || shown.starts_with("Exited (7)"), "{shown}");
}

/// The sockets that a holder keeps would keep the published port from the next container.
#[test]
fn a_keeper_killed_while_it_takes_down_leaves_no_holder() {
    let (gaufre, image) = ready();
    let publish = format!("--publish=127.0.0.1:{}:80", free_port());
    let mut hits = 0;
    for round in 0..30 {
        let gate = Gate::new(&gaufre, &format!("gate-{round}"));
        let id = detached(&gaufre, &image, &[&publish, &gate.mount()], WAIT);
        let (kept_by, held_by) = (keeper(&gaufre, &id), holder(&gaufre, &id));
        // The more groups there are to remove, the longer it takes.
        let groups =
            ["/sys/fs/cgroup/pids/gaufre", "/sys/fs/cgroup/gaufre"].map(|root| PathBuf::from(root).join(&id));
        let group = groups.iter().find(|group| group.exists()).expect("the container's group");
        (0..300).for_each(|number| std::fs::create_dir(group.join(number.to_string())).unwrap());
        gate.open();
        let is_finishing = || state(&gaufre, &id).map(|state| state["phase"]["name"] == "finishing");
        let started = Instant::now();
        while is_finishing() == Some(false) {
            assert!(started.elapsed() < Duration::from_secs(120), "the keeper does not take it down");
        }
        let _ = tool("kill").args(["-KILL", &kept_by]).output().unwrap();
        until("the end of the keeper", || (!runs(&kept_by)).then_some(()));
        hits += usize::from(is_finishing() == Some(true) && runs(&held_by));
        gaufre.ok(&["rm", "-f", &id]);
        until("the end of the holder", || (!runs(&held_by)).then_some(()));
        if hits == 2 {
            return;
        }
    }
    panic!("{hits} keepers were killed in time, of 30");
}

/// A workload whose keeper was killed belongs to the machine's first process, or to one that stands in for it (prctl(2),
/// PR_SET_CHILD_SUBREAPER): here to one that never reaps.
#[test]
fn the_exit_code_is_right_while_nobody_reaps_the_workload() {
    let (gaufre, image) = ready();
    let run = gaufre.command();
    let mut parent = tool("perl");
    parent.args(["-e", "syscall(157, 36, 1, 0, 0, 0) == 0 or die $!; system(@ARGV); sleep 1000"]);
    parent.arg(run.get_program()).args(run.get_args());
    let gate = Gate::new(&gaufre, "gate");
    parent.args(["run", "-d", "--network=none", &gate.mount(), "--name=orphan", &image]);
    parent.args(["bash", "-c", &format!("{WAIT}; exit 7")]);
    let _parent = Started::new(&parent);
    until("the workload", || {
        let id = gaufre.say(&["inspect", "--format", "{{.Id}}", "orphan"]).out;
        state(&gaufre, id.trim()).filter(|state| state["phase"]["name"] == "running")
    });
    let id = gaufre.ok(&["inspect", "--format", "{{.Id}}", "orphan"]).trim().to_owned();
    let pid = workload(&gaufre, &id);
    kill9(&keeper(&gaufre, &id));
    gate.open();
    until("the end of the workload", || (!runs(&pid)).then_some(()));
    assert_eq!(gaufre.ok(&["wait", &id]), "7\n");
    assert!(PathBuf::from(format!("/proc/{pid}")).exists(), "somebody reaped it");
}

#[test]
fn one_that_goes_at_its_end_goes_with_the_next_command() {
    let (gaufre, image) = ready();
    let (id, gate) = held(&gaufre, &image, "gate", &["--rm"], "true");
    let pid = workload(&gaufre, &id);
    kill9(&keeper(&gaufre, &id));
    gate.open();
    until("the end of the workload", || (!runs(&pid)).then_some(()));
    assert_eq!(gaufre.ok(&["ps", "-a", "--quiet"]), "");
    assert_eq!(std::fs::read_dir(gaufre.dir().join("run/sandboxes")).unwrap().count(), 0);
    until("its files to be gone", || {
        (std::fs::read_dir(gaufre.dir().join("root/sandboxes")).unwrap().count() == 0).then_some(())
    });
}

#[test]
fn a_restart_policy_survives_the_keeper() {
    let (gaufre, image) = ready();
    let id = detached(&gaufre, &image, &["--network=none", "--restart=always"], "sleep 0.3; exit 3");
    for _ in 0..4 {
        let running =
            until("the workload", || state(&gaufre, &id).filter(|state| state["phase"]["name"] == "running"));
        kill9(&running["keeper_pid"].to_string());
        std::thread::sleep(Duration::from_millis(400));
        gaufre.ok(&["ps", "-a"]);
    }
    until("another run", || {
        state(&gaufre, &id)
            .filter(|state| state["phase"]["name"] == "running" && state["restarts"].as_u64() > Some(3))
    });
    gaufre.ok(&["stop", "--time=0", &id]);
    assert_eq!(status(&gaufre, &id)["Status"], "exited");
    assert!(status(&gaufre, &id)["Running"] == false);
}
