//! A deadline that no test should meet.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// Makes a test fail that would wait for ever: without a holder, readers go on.
pub(crate) struct Watch(#[allow(dead_code, reason = "its end is what is waited for")] mpsc::Sender<()>);

pub(crate) static LATE: AtomicBool = AtomicBool::new(false);

/// The present holder.
pub(crate) static HOLDER: AtomicI32 = AtomicI32::new(0);

impl Watch {
    pub(crate) fn over(name: &'static str) -> Self {
        const LONG_ENOUGH: Duration = Duration::from_secs(300);
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            while receiver.recv_timeout(LONG_ENOUGH) == Err(mpsc::RecvTimeoutError::Timeout) {
                println!("{name} takes too long; its holder is killed");
                LATE.store(true, Ordering::SeqCst);
                let holder = Pid::from_raw(HOLDER.load(Ordering::SeqCst)).unwrap();
                let _ = rustix::process::kill_process(holder, Signal::KILL);
            }
        });
        Self(sender)
    }
}
