//! The file that tells a caller the process's id.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::command::Failure;

/// Writes the process's id, whole or not at all.
pub(crate) fn write_pid_file(path: Option<&Path>, pid: Pid) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let text = pid.as_raw_nonzero().to_string();
    let written = match write_nameless(path, &text) {
        // O_TMPFILE is not known to every file system: open(2).
        Err(error) if has_no_nameless(&error) => write_and_rename(path, &text),
        written => written,
    };
    Ok(written.map_err(|error| format!("the pid file {}: {error}", path.display()))?)
}

/// The file has no name until it is complete: whoever is killed in the middle leaves nothing.
fn write_nameless(path: &Path, text: &str) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = Mode::from_raw_mode(0o644);
    let file = rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode)?;
    let mut file = File::from(file);
    file.write_all(text.as_bytes())?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = || rustix::fs::linkat(CWD, &own, CWD, path, AtFlags::SYMLINK_FOLLOW);
    match link() {
        Err(Errno::EXIST) => {
            fs::remove_file(path)?;
            Ok(link()?)
        }
        linked => Ok(linked?),
    }
}

fn has_no_nameless(error: &io::Error) -> bool {
    let reason = Errno::from_io_error(error);
    matches!(reason, Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::XDEV))
}

fn write_and_rename(path: &Path, text: &str) -> io::Result<()> {
    let mut new: OsString = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, path))
}
