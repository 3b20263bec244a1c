//! The console: a pseudo-terminal from the sandbox's own devpts.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::rootfs::bind::clone_tree;
use crate::rootfs::filesystem::attach;
use crate::rootfs::root::{Links, Root, open_within};
use crate::step::{Step, StepError};

/// `DEVPTS_SUPER_MAGIC` of linux/magic.h.
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// A pseudo-terminal.
#[derive(Debug)]
pub(crate) struct Console {
    /// The side that the caller reads and writes.
    pub(crate) master: OwnedFd,
    /// The side that the workload has.
    pub(crate) slave: OwnedFd,
}

/// Opens a new terminal of the devpts at /dev/pts in `root`, which is checked to be one. The slave comes from the
/// master by ioctl_tty(2) `TIOCGPTPEER`, Linux 4.13: no path decides which terminal it is.
pub(crate) fn open(root: impl AsFd, size: Option<(u16, u16)>) -> Result<Console, StepError> {
    let what = || "could not open a terminal in the container's /dev/pts";
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let master = open_within(root.as_fd(), Path::new("dev/pts/ptmx"), flags, Links::Refused).step(what)?;
    let magic = rustix::fs::fstatfs(&master).step(what)?.f_type;
    if magic != DEVPTS_MAGIC {
        return Err(StepError::rule("/dev/pts in the container is not a devpts: it cannot have a terminal"));
    }
    unlockpt(&master).step(what)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, flags).step(what)?;
    let master = rustix::io::fcntl_dupfd_cloexec(&master, 3).step(what)?;
    if let Some((rows, columns)) = size {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).step(|| "could not set the size of the terminal")?;
    }
    Ok(Console { master, slave })
}

/// Makes the terminal the sandbox's /dev/console, by descriptors on both sides: a link there is refused.
pub(crate) fn bind_to_dev_console(root: &Root, console: &Console) -> Result<(), StepError> {
    let target = root.ensure_file(Path::new("/dev/console"), Links::Refused)?;
    let what = || "could not make the terminal /dev/console";
    attach(clone_tree(&console.slave, false).step(what)?, &target).step(what)
}

/// Makes the terminal the controlling one of this process's session, which it must lead.
pub(crate) fn take_control(slave: impl AsFd) -> Result<(), StepError> {
    rustix::process::ioctl_tiocsctty(slave).step(|| "could not make the terminal the controlling one")
}
