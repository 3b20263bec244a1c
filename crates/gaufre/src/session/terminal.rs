//! The user's terminal in raw mode, and back on every way out.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, Once};

use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// What the terminal was before; a panic and a deadly signal have to reach it, so it belongs to no scope.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
static RESTORE_ON_PANIC: Once = Once::new();

/// The terminal passes every key on as long as this lives.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    /// Puts the terminal at standard input into raw mode, termios(3).
    ///
    /// # Errors
    /// When standard input is no terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        if let Ok(mut saved) = BEFORE.lock() {
            *saved = Some(before);
        }
        RESTORE_ON_PANIC.call_once(|| {
            let print = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                print(panic);
            }));
        });
        tcsetattr(stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was; does nothing where it never changed.
pub(crate) fn restore() {
    // A panic while the lock is held must not wait for it.
    if let Ok(mut saved) = BEFORE.try_lock()
        && let Some(before) = saved.take()
    {
        // A terminal that has gone away needs no restoring.
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &before);
    }
}

/// Whether standard input is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Lines and columns of the user's terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
