//! run and exec in the foreground: signals, terminals, streams.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;

use crate::bundle::{Bundle, eventually};

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

#[test]
fn signals_to_run_reach_the_container() {
    let bundle =
        Bundle::sh("trap 'exit 7' TERM; trap 'echo > /hup' HUP; echo > /ready; while :; do sleep 0.05; done");
    let mut child = bundle.oci(&["run", &bundle.id]).spawn().unwrap();
    eventually("it is ready", || bundle.rootfs().join("ready").exists());
    kill_process(pid(&child), Signal::HUP).unwrap();
    eventually("it got the first", || bundle.rootfs().join("hup").exists());
    kill_process(pid(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
    assert!(!bundle.state_dir().exists() && bundle.cgroups().is_empty());
}

#[test]
fn signals_to_exec_reach_its_process_only() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let script = "trap 'exit 8' INT; echo > /ready; while :; do sleep 0.05; done";
    let mut child = bundle.oci(&["exec", &bundle.id, "sh", "-c", script]).spawn().unwrap();
    eventually("it is ready", || bundle.rootfs().join("ready").exists());
    kill_process(pid(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8));
    assert_eq!(bundle.status(), "running");
}

#[test]
fn streams_pass_through_and_an_end_is_an_end() {
    let bundle = Bundle::sh("cat; echo to stderr >&2");
    let mut command = bundle.oci(&["run", &bundle.id]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"through\n"[..], &b"to stderr\n"[..]));
}

/// A terminal of ours: the side that a person has, and the runtime's.
fn terminal(rows: u16, columns: u16) -> (fs::File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    set_size(&master, rows, columns);
    (fs::File::from(master), slave)
}

fn set_size(terminal: impl AsFd, ws_row: u16, ws_col: u16) {
    tcsetwinsize(terminal, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

#[test]
fn a_terminal_is_relayed_with_its_size_and_restored() {
    let script = "stty size > /size; trap 'stty size > /size2' WINCH; echo > /ready; until read line; do :; done; echo got $line; exit 5";
    let bundle = Bundle::sh(script).with("/process/terminal", json!(true));
    let (mut ours, theirs) = terminal(33, 77);
    let stream = || Stdio::from(theirs.try_clone().unwrap());
    let mut child = bundle.oci(&["run", &bundle.id]).stdin(stream()).stdout(stream()).spawn().unwrap();
    eventually("it is ready", || bundle.rootfs().join("ready").exists());
    let is_raw = || !tcgetattr(&theirs).unwrap().local_modes.contains(LocalModes::ICANON);
    eventually("our terminal is raw", is_raw);
    assert_eq!(fs::read_to_string(bundle.rootfs().join("size")).unwrap(), "33 77\n");

    set_size(&ours, 40, 100);
    kill_process(pid(&child), Signal::WINCH).unwrap();
    // The shell acts on the signal when its `read` is done, or interrupted, after which it reads again.
    ours.write_all(b"waffles\r").unwrap();
    let mut text = Vec::new();
    let mut buffer = [0; 256];
    while !String::from_utf8_lossy(&text).contains("got waffles") {
        let len = ours.read(&mut buffer).unwrap();
        text.extend_from_slice(&buffer[..len]);
    }
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(!is_raw(), "the terminal is left raw");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("size2")).unwrap(), "40 100\n");
}

#[test]
fn much_output_of_a_terminal_arrives_whole_while_its_input_is_full() {
    let script = "stty -echo; i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done";
    let bundle = Bundle::sh(script).with("/process/terminal", json!(true));
    let mut command = bundle.oci(&["run", &bundle.id]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than a terminal holds, which nobody reads: it must not stop the output.
    let writer = std::thread::spawn(move || drop(input.write_all(&[b'x'; 100_000])));
    let output = child.wait_with_output().unwrap();
    drop(writer);
    let lines =
        String::from_utf8_lossy(&output.stdout).matches("0123456789012345678901234567890123456789").count();
    assert_eq!(lines, 3000);
}

#[test]
fn a_terminal_without_a_reader_does_not_keep_the_container() {
    let bundle = Bundle::sh("while :; do echo y; done & sleep 0.3; kill -9 $!; exit 4")
        .with("/process/terminal", json!(true));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = bundle.oci(&["run", &bundle.id]).stdout(writer).spawn().unwrap();
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}
