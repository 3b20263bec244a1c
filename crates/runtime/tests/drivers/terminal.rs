//! A driver's client on a terminal of ours.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Runs `command` on a terminal of 33 rows and 77 columns. Each of `talk` is a text to wait for and what to type then.
/// Gives all that was shown, and the exit code.
pub(crate) fn talk(command: &mut Command, talk: &[(&str, &str)]) -> (String, Option<i32>) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let stream = || Stdio::from(slave.try_clone().unwrap());
    command.stdin(stream()).stdout(stream()).stderr(stream());
    // SAFETY: between fork and exec only two system calls are made, which allocate nothing.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
        });
    }
    let mut child = command.spawn().unwrap();
    // They hold the other side open.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(slave);
    let mut master = std::fs::File::from(master);
    let (mut shown, mut buffer, mut talk) = (String::new(), [0; 1024], talk.iter());
    let mut next = talk.next();
    loop {
        if let Some((awaited, typed)) = next
            && shown.contains(awaited)
        {
            master.write_all(typed.as_bytes()).unwrap();
            next = talk.next();
        }
        match master.read(&mut buffer) {
            Ok(len) if len > 0 => shown.push_str(&String::from_utf8_lossy(&buffer[..len])),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // EIO: the last one on the other side is gone.
            _ => break,
        }
    }
    (shown, child.wait().unwrap().code())
}
