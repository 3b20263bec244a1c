//! Terminals, signals and pipes between the user and a container.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{GAUFRE, World};

/// Waits for the workload's first line, so that it handles signals from here on.
fn until_it_listens(out: &mut impl BufRead) {
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended without a word");
    }
}

fn is_listed(world: &World, name: &str) -> bool {
    world.said(&["ps", "--format", "{{.Names}}"]).lines().any(|line| line == name)
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// gaufre on a terminal of its own, made by script(1).
fn on_a_terminal(world: &World, words: &str) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let envs =
        world.command(&[]).get_envs().map(|(k, v)| (k.to_owned(), v.unwrap().to_owned())).collect::<Vec<_>>();
    let mut child = Command::new("script")
        .args(["-qefc", &format!("{GAUFRE} {words}"), "/dev/null"])
        .envs(envs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    (child, stdin, stdout)
}

#[test]
fn a_signal_to_gaufre_reaches_the_workload_and_its_code_comes_back() {
    let world = World::new();
    let mut run = world
        .command(&["run", "--rm", "--network", "none", &world.image])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until_it_listens(&mut BufReader::new(run.stdout.take().unwrap()));
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0), "the workload ends with 0 at SIGTERM");
    assert_eq!(world.said(&["ps", "-aq"]), "", "--rm left it");
}

#[test]
fn the_detach_keys_leave_the_container_running() {
    let world = World::new();
    let words = format!("run -it --name web --network none {}", world.image);
    let (mut run, mut keys, mut screen) = on_a_terminal(&world, &words);
    until_it_listens(&mut screen);
    keys.write_all(b"\x10\x11").unwrap();
    keys.flush().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(is_listed(&world, "web"));
}

#[test]
fn ctrl_c_on_a_terminal_goes_to_the_workload_alone() {
    let world = World::new();
    let words = format!("run --rm -it --init --name web --network none {}", world.image);
    let (mut run, mut keys, mut screen) = on_a_terminal(&world, &words);
    until_it_listens(&mut screen);
    keys.write_all(b"\x03").unwrap();
    keys.flush().unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    wait_until("the removal", || !is_listed(&world, "web"));
}

#[test]
fn output_that_nobody_reads_ends_gaufre_quietly_and_not_the_container() {
    let world = World::new();
    world.said(&["run", "-d", "--name", "web", "--network", "none", &world.image]);
    let mut logs = world
        .command(&["logs", "-f", "web"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until_it_listens(&mut BufReader::new(logs.stdout.take().unwrap()));
    // The reader is gone. The next line is too much.
    world.said(&["stop", "web"]);
    world.said(&["start", "web"]);
    let mut complaint = String::new();
    logs.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    logs.wait().unwrap();
    assert_eq!(complaint, "");
    assert!(is_listed(&world, "web"));
}
