//! One hook: a program executed by its path, without a shell, with nothing of ours but the state on its standard input.

use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::Hook;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::Stage;
use crate::step::StepError;
use crate::sys::exec::close_descriptors_on_exec;

/// How much of what a failed hook printed is repeated.
const OUTPUT_BYTES: u64 = 1024;

/// A hook that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HookError {
    /// It could not be executed.
    #[error("{}: could not run {}", stage.field(), path.display())]
    Run {
        /// When.
        stage: Stage,
        /// The program.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It ended with another status than 0.
    #[error("{}: {} failed: {status}{output}", stage.field(), path.display())]
    Failed {
        /// When.
        stage: Stage,
        /// The program.
        path: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed, after a colon; empty where it printed nothing.
        output: String,
    },
    /// It was killed because it took too long.
    #[error("{}: {} did not end within {seconds} s", stage.field(), path.display())]
    TimedOut {
        /// When.
        stage: Stage,
        /// The program.
        path: PathBuf,
        /// Its timeout.
        seconds: i64,
    },
}

impl From<HookError> for StepError {
    /// For the way from the sandbox's process to the runtime.
    fn from(error: HookError) -> Self {
        let what = error.to_string();
        match error {
            HookError::Run { source, .. } => Self::new(what, source),
            HookError::Failed { .. } | HookError::TimedOut { .. } => Self::rule(what),
        }
    }
}

/// Runs the hook in `dir` to its end, with `state` on its standard input.
pub(super) fn run(hook: &Hook, stage: Stage, dir: &Path, state: &str) -> Result<(), HookError> {
    let path = hook.path().clone();
    let failed = |source| HookError::Run { stage, path: path.clone(), source };
    // Files in memory rather than pipes: however much is printed and however little is read, nobody waits for anybody.
    let mut input = memory_file().map_err(failed)?;
    input.write_all(state.as_bytes()).and_then(|()| input.rewind()).map_err(failed)?;
    let mut output = memory_file().map_err(failed)?;
    let mut child = spawn(hook, dir, &input, &output).map_err(failed)?;
    let status = match hook.timeout() {
        None => child.wait().map_err(failed)?,
        Some(seconds) => match wait_at_most(&mut child, seconds).map_err(failed)? {
            Some(status) => status,
            None => return Err(HookError::TimedOut { stage, path, seconds }),
        },
    };
    if status.success() {
        return Ok(());
    }
    let output = end_of(&mut output).map_err(failed)?;
    Err(HookError::Failed { stage, path, status, output })
}

fn spawn(hook: &Hook, dir: &Path, input: &std::fs::File, output: &std::fs::File) -> std::io::Result<Child> {
    let mut command = Command::new(hook.path());
    let mut args = hook.args().iter().flatten();
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    command.args(args).env_clear().current_dir(dir).process_group(0);
    command.envs(hook.env().iter().flatten().filter_map(|variable| variable.split_once('=')));
    command.stdin(Stdio::from(input.try_clone()?));
    command.stdout(Stdio::from(output.try_clone()?)).stderr(Stdio::from(output.try_clone()?));
    close_descriptors_on_exec(&mut command);
    command.spawn()
}

/// Waits for the hook; one that takes too long is killed with all of its process group and reaped: None.
fn wait_at_most(child: &mut Child, seconds: i64) -> std::io::Result<Option<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::NotFound)?;
    // Not yet waited for, so it is certainly that process.
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let seconds = u64::try_from(seconds).unwrap_or_default();
    if ends_within(pidfd.as_fd(), Duration::from_secs(seconds))? {
        return child.wait().map(Some);
    }
    // It leads the group, and its id is not reused before it is reaped.
    let killed = kill_process_group(pid, Signal::KILL);
    child.wait()?;
    killed?;
    Ok(None)
}

fn ends_within(pidfd: BorrowedFd<'_>, time: Duration) -> std::io::Result<bool> {
    let start = Instant::now();
    loop {
        let left = time.saturating_sub(start.elapsed());
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) if !start.elapsed().lt(&time) => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

fn memory_file() -> std::io::Result<std::fs::File> {
    Ok(rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC)?.into())
}

fn end_of(output: &mut std::fs::File) -> std::io::Result<String> {
    let len = output.metadata()?.len();
    output.seek(std::io::SeekFrom::Start(len.saturating_sub(OUTPUT_BYTES)))?;
    let mut bytes = Vec::new();
    output.take(OUTPUT_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    Ok(if text.is_empty() { String::new() } else { format!(": {text}") })
}
