//! Running a driver's commands.

use std::process::{Command, Output};

/// Runs a command of a driver to its end.
pub(crate) fn output(command: &mut Command) -> Output {
    let name = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| panic!("{} is needed: {error}", name.display()))
}

/// Standard output of a command that must succeed.
pub(crate) fn must(command: &mut Command) -> String {
    let output = output(command);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}

/// Waits until something holds, at most thirty seconds: drivers are slow.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what}: not within thirty seconds");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
