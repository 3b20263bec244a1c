//! Other programs that tests set up with and judge by.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that a test needs, with no input.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null());
    command
}

/// Runs `command` to its end and returns what it wrote to standard output.
///
/// # Panics
///
/// If the program is missing or fails.
pub fn run(command: &mut Command) -> String {
    let shown = format!("{command:?}");
    let output = command.output().unwrap_or_else(|error| {
        panic!("{shown} could not be started ({error}); `cargo xtask test` installs what tests need")
    });
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown} failed:\n{stdout}{}", String::from_utf8_lossy(&output.stderr));
    stdout
}

/// How long a test waits for what is to come: far longer than it takes on a slow machine that does much else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks `ask` again and again until it gives something.
///
/// # Panics
///
/// If that takes two minutes, naming `what` was waited for.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain for {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}
