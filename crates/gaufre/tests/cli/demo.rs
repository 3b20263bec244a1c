//! `gaufre demo` does what it says and leaves nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::GAUFRE;

/// What is left of the demo of this PID, once its keeper has had the time to end.
fn leftovers(pid: u32) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = leftovers_now(pid);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn leftovers_now(pid: u32) -> Vec<String> {
    let directory = format!("gaufre-demo-{pid}");
    let entries = std::fs::read_dir("/var/tmp").unwrap().flatten();
    let mut left: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| *name == directory)
        .collect();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(line) = std::fs::read(process.path().join("cmdline")) else { continue };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&directory) {
            left.push(line);
        }
    }
    left
}

#[test]
fn the_demo_shows_every_step_with_its_time_and_leaves_nothing() {
    let demo = Command::new(GAUFRE).arg("demo").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = demo.id();
    let output = demo.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for step in
        ["serve it", "pull it", "create", "start", "Hello from inside", "execute", "logs", "stop", "remove"]
    {
        assert!(text.contains(step), "{step}: {text}");
    }
    assert!(text.lines().filter(|line| line.ends_with(" ms")).count() >= 10, "{text}");
    assert_eq!(leftovers(pid), [""; 0]);
}

#[test]
fn an_interrupted_demo_leaves_nothing_either() {
    for delay_ms in [50, 400, 900] {
        let demo =
            Command::new(GAUFRE).arg("demo").stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let pid = demo.id();
        std::thread::sleep(Duration::from_millis(delay_ms));
        // It may have ended by itself on a fast machine, which is as good.
        let _ = kill_process(Pid::from_child(&demo), Signal::INT);
        let output = demo.wait_with_output().unwrap();
        assert!(matches!(output.status.code(), Some(130 | 0) | None), "after {delay_ms} ms: {output:?}");
        assert_eq!(leftovers(pid), [""; 0], "after {delay_ms} ms");
    }
}
