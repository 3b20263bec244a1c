//! Output, input, terminals and ports outlive the keeper.

use crate::fixture::{
    COUNT, Gate, WAIT, detached, gapless, holder, holder_after_keeper, keeper, kill9, ready, runs,
    stop_counting, workload,
};
use gaufre_tests::faults::Chance;
use gaufre_tests::{Gaufre, Registry, Witness, free_port, get, until};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_killed_keeper_loses_no_line_and_the_next_command_starts_another() {
    let (gaufre, image) = ready();
    let id = detached(&gaufre, &image, &["--network=none"], COUNT);
    let first = workload(&gaufre, &id);
    for verb in [&["ps"][..], &["logs", "--tail=1", &id], &["exec", &id, "true"], &["inspect", &id]] {
        std::thread::sleep(Duration::from_millis(100));
        let killed = keeper(&gaufre, &id);
        kill9(&killed);
        assert!(runs(&first), "the workload died with its keeper");
        // The workload fills the FIFO meanwhile, and waits.
        std::thread::sleep(Duration::from_millis(50));
        gaufre.ok(verb);
        assert_ne!(keeper(&gaufre, &id), killed, "{verb:?} started no keeper");
        assert_eq!(workload(&gaufre, &id), first);
    }
    stop_counting(&gaufre, &id);
    assert_eq!(gaufre.ok(&["wait", &id]), "0\n");
    let last = gapless(&gaufre.ok(&["logs", &id]));
    assert!(last > 1000, "only {last} lines");
}

#[test]
fn many_kills_in_the_middle_of_a_stream_leave_no_gap() {
    let (gaufre, image) = ready();
    let id = detached(&gaufre, &image, &["--network=none", "--log-opt=max-size=64m"], COUNT);
    let mut chance = Chance::new(Chance::seed());
    for _ in 0..15 {
        std::thread::sleep(chance.up_to(Duration::from_millis(60)));
        kill9(&keeper(&gaufre, &id));
        gaufre.ok(&["ps", "--quiet"]);
    }
    stop_counting(&gaufre, &id);
    assert_eq!(gaufre.ok(&["wait", &id]), "0\n");
    gapless(&gaufre.ok(&["logs", &id]));
}

#[test]
fn a_client_that_does_not_read_holds_nobody_up_and_has_all_of_it_in_the_end() {
    let (gaufre, image) = ready();
    let mut run = gaufre.command();
    let gate = Gate::new(&gaufre, "gate");
    run.args(["run", "--rm", "--name=pager", "--network=none", &gate.mount(), &image]);
    // More than a pipe and a socket take, less than makes the workload wait.
    run.args(["bash", "-c", &format!("seq 1 70000; {WAIT}")]);
    let mut run = run.stdout(Stdio::piped()).spawn().unwrap();
    let exists = || gaufre.say(&["inspect", "--type=container", "pager"]).code == 0;
    until("the container", || exists().then_some(()));
    gate.open();
    until("the end of the container", || (!exists()).then_some(()));
    // Longer than anybody waits for a client.
    std::thread::sleep(Duration::from_millis(1500));
    let mut out = String::new();
    std::io::Read::read_to_string(&mut run.stdout.take().unwrap(), &mut out).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_eq!(gapless(&out), 70_000);
}

#[test]
fn a_published_port_answers_and_stays_reserved() {
    let _alone = Witness::alone();
    let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
    let image = gaufre.pull(&registry, "python");
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:8000");
    let arguments = ["run", "-d", "-p", &publish, &image, "python3", "-m", "http.server", "8000"];
    let id = gaufre.ok(&arguments).trim().to_owned();
    let address = ([127, 0, 0, 1], port).into();
    let answers = || until("an answer", || get(address, "/").filter(|(status, _)| *status == 200));
    answers();
    let reserved = || assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err(), "{port} is free");
    let keeper_pid = keeper(&gaufre, &id);
    kill9(&keeper_pid);
    answers();
    reserved();
    gaufre.ok(&["ps"]);
    reserved();
    answers();
    assert!(gaufre.ok(&["ps"]).contains(&port.to_string()));
    gaufre.ok(&["rm", "-f", "--time=0", &id]);
    until("the port to be free", || std::net::TcpListener::bind(("127.0.0.1", port)).ok());
}

#[test]
fn a_killed_holder_is_replaced_and_nothing_else_happens() {
    let (gaufre, image) = ready();
    let id = detached(
        &gaufre,
        &image,
        &["--network=none", "-t"],
        "while :; do read -r word; echo got $word; done",
    );
    // One that ends at once after its birth is taken for one that cannot live.
    std::thread::sleep(Duration::from_millis(600));
    let first = holder(&gaufre, &id);
    kill9(&first);
    until("another holder", || (holder(&gaufre, &id) != first).then_some(()));
    // The new one holds the terminal through the keeper's death.
    let pid = workload(&gaufre, &id);
    kill9(&keeper(&gaufre, &id));
    gaufre.ok(&["ps"]);
    std::thread::sleep(Duration::from_millis(200));
    assert!(runs(&pid), "the terminal hung up");
    assert!(gaufre.ok(&["ps"]).contains(&id[..12]));
}

#[test]
fn with_keeper_and_holder_killed_the_workload_goes_on_and_can_be_stopped() {
    let (gaufre, image) = ready();
    let id = detached(&gaufre, &image, &["--network=none"], COUNT);
    std::thread::sleep(Duration::from_millis(100));
    let pid = workload(&gaufre, &id);
    kill9(&holder_after_keeper(&gaufre, &id));
    assert!(runs(&pid));
    assert!(gaufre.ok(&["ps"]).contains(&id[..12]));
    stop_counting(&gaufre, &id);
    // Its exit status may or may not be told by the kernel.
    gaufre.ok(&["wait", &id]);
    gapless(&gaufre.ok(&["logs", &id]));
    gaufre.ok(&["rm", &id]);
}

#[test]
fn a_terminal_outlives_the_keeper() {
    let (gaufre, image) = ready();
    let script = format!("for i in $(seq 20); do echo tick $i; sleep 0.1; done; {WAIT}; tty; exit 5");
    let gate = Gate::new(&gaufre, "gate");
    let id = detached(&gaufre, &image, &["--network=none", "-t", &gate.mount()], &script);
    std::thread::sleep(Duration::from_millis(300));
    kill9(&keeper(&gaufre, &id));
    std::thread::sleep(Duration::from_millis(300));
    gate.open();
    assert_eq!(gaufre.ok(&["wait", &id]), "5\n");
    let log = gaufre.ok(&["logs", &id]);
    assert!(log.contains("tick 20") && log.contains("/dev/pts/0"), "{log}");
}

#[test]
fn many_kills_while_a_terminal_is_written_to_lose_no_line() {
    let (gaufre, image) = ready();
    let count = "while [ ! -e /stop ]; do i=$((i+1)); printf 'line %07d\n' $i; done; echo last $i";
    let id = detached(&gaufre, &image, &["--network=none", "-t", "--log-opt=max-size=64m"], count);
    let mut chance = Chance::new(Chance::seed());
    for _ in 0..10 {
        std::thread::sleep(chance.up_to(Duration::from_millis(60)));
        kill9(&keeper(&gaufre, &id));
        gaufre.ok(&["ps", "--quiet"]);
    }
    stop_counting(&gaufre, &id);
    assert_eq!(gaufre.ok(&["wait", &id]), "0\n");
    let log = gaufre.ok(&["logs", &id]);
    let lines: std::collections::HashSet<&str> =
        log.match_indices("line ").filter_map(|(at, _)| log.get(at..at + "line 0000000".len())).collect();
    let last: u32 = log.trim_end().rsplit_once("last ").unwrap().1.parse().unwrap();
    // A chunk may be there twice, also in the middle of a line.
    let lost: Vec<u32> =
        (1..=last).filter(|number| !lines.contains(format!("line {number:07}").as_str())).collect();
    assert!(last > 1000 && lost.is_empty(), "of {last} lines {} are lost: {lost:?}", lost.len());
}

#[test]
fn standard_input_outlives_the_keeper_and_still_ends_when_it_is_told_to() {
    let (gaufre, image) = ready();
    let id = detached(&gaufre, &image, &["--network=none", "-i"], "cat; echo end of input");
    let pid = workload(&gaufre, &id);
    kill9(&keeper(&gaufre, &id));
    gaufre.ok(&["ps"]);
    std::thread::sleep(Duration::from_millis(200));
    assert!(runs(&pid), "the workload saw an end of its input that was none");
    let mut attach = gaufre.command();
    attach.args(["attach", &id]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut attach = attach.spawn().unwrap();
    std::io::Write::write_all(&mut attach.stdin.take().unwrap(), b"hello\n").unwrap();
    let output = attach.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nend of input\n");
    assert_eq!(gaufre.ok(&["wait", &id]), "0\n");
}
