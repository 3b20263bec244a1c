//! The user's terminal, or pipes, connected with a workload.
//!
//! Each session is one loop around poll(2): nothing is read that cannot be passed on, so a slow reader slows the
//! writer down and no buffer grows; nothing is written that could block, so a signal is always heard.

mod attach;
mod attend;
mod detach_keys;
mod exec;
mod input;
mod poll;
mod signals;
mod sink;
mod terminal;

pub(crate) use attend::{Part, exit_code};
pub(crate) use detach_keys::DetachKeys;
pub(crate) use exec::converse;
pub(crate) use signals::Signals;
pub(crate) use terminal::{RawMode, restore, stdin_is_terminal};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The workload ended; the code is absent where it could not be collected.
    Exited(Option<i32>),
    /// The user pressed the detach keys.
    Detached,
    /// The keeper hung up without a word.
    Lost,
}

/// Ends as a program does whose reader has gone, so that a shell sees nothing unusual.
pub(crate) fn die_of_broken_pipe() -> std::process::ExitCode {
    terminal::restore();
    // It returns only if the signal cannot be raised; then its code has to do.
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGPIPE);
    std::process::ExitCode::from(128 + 13)
}
