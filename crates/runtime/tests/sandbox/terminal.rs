//! Terminals.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn a_terminal_is_the_container_s_own_and_its_console() {
    let bundle = Bundle::sh(
        "tty; test -t 0 && echo yes; stty size; stat -c %t:%T /dev/console; echo to console > /dev/console",
    )
    .with("/process/terminal", json!(true))
    .with("/process/consoleSize", json!({"height": 33, "width": 77}));
    let out = bundle.stdout().replace('\r', "");
    assert_eq!(out, "/dev/pts/0\nyes\n33 77\n88:0\nto console\n");
}

#[test]
fn exec_with_a_terminal_talks_both_ways() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let mut command = bundle.oci(&["exec", "-t", &bundle.id, "sh", "-c", "read x; echo got $x; tty; exit 4"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"waffles\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("got waffles") && text.contains("/dev/pts/0"), "{text}");
    assert_eq!(output.status.code(), Some(4));
}
