//! The built programs, and how one of them is run.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::host;
use crate::programs::{CANNOT, Needs, PASS, Program};

/// Longer than any of them takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Appends what the program says to `$0`. It has all capabilities over what it makes, and no limits but those of cgroup v2: a user namespace with all ids of the
/// host, which its maker maps when the first word comes. Only the next program executed is root there.
const IN_USER_NAMESPACE: &str = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && \
    exec unshare --user --mount sh -c 'echo mapped?; read -r line; exec \"$@\" >> \"$0\"' \"$0\" \"$@\"";

/// The programs, and a directory for what they make.
pub(crate) struct Suite {
    programs: PathBuf,
    dir: tempfile::TempDir,
}

impl Suite {
    /// Where `cargo xtask peers` puts them, or `$GAUFRE_VALIDATION`.
    pub(crate) fn find() -> Option<Self> {
        let home =
            || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
        let cache = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
        let cached = || cache.map_or_else(home, PathBuf::from).join("gaufre/peers/validation");
        let programs = std::env::var_os("GAUFRE_VALIDATION").map_or_else(cached, PathBuf::from);
        if !programs.join("runtimetest").exists() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let runtime = std::env::var("GAUFRE_OCI").unwrap_or(env!("CARGO_BIN_EXE_gaufre-oci").into());
        let script = dir.path().join("runtime");
        let state = dir.path().join("state");
        fs::write(&script, format!("#!/bin/sh\nexec {runtime} --root {} \"$@\"\n", state.display())).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        Some(Self { programs, dir })
    }

    /// Fails where there is a program that nobody has thought about.
    pub(crate) fn check_names(&self) {
        let names = |name: String| name.strip_suffix(".t").map(str::to_owned);
        let found: BTreeSet<String> = fs::read_dir(&self.programs)
            .unwrap()
            .filter_map(|entry| names(entry.unwrap().file_name().into_string().unwrap()))
            .collect();
        let known = PASS.iter().map(|program| program.name).chain(CANNOT).map(str::to_owned).collect();
        assert_eq!(found, known, "the programs in {}", self.programs.display());
    }

    /// Runs a program; what it complains about is the error.
    pub(crate) fn run(&self, program: &Program) -> Result<(), String> {
        let path = self.programs.join(format!("{}.t", program.name));
        let enter = program.needs == Needs::AllCapabilities && !host::has_all_capabilities();
        let output = self.dir.path().join(format!("{}.log", program.name));
        let mut command = if enter {
            let mut unshare = Command::new("unshare");
            unshare.args(["--mount", "sh", "-c", IN_USER_NAMESPACE]).arg(&output).arg(path);
            unshare
        } else {
            Command::new(path)
        };
        let log = fs::File::create(&output).unwrap();
        command.current_dir(&self.programs).env("RUNTIME", self.dir.path().join("runtime"));
        command.env("TMPDIR", self.dir.path()).stderr(log.try_clone().unwrap());
        if enter {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap());
        }
        let mut child = command.spawn().unwrap();
        if enter {
            map_ids(&mut child);
        }
        let ended = wait(&mut child);
        judge(ended, &String::from_utf8_lossy(&fs::read(&output).unwrap()))
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        // What a program that failed has left.
        let runtime = self.dir.path().join("runtime");
        let listed = Command::new(&runtime).args(["list", "--quiet"]).output().unwrap();
        for id in String::from_utf8_lossy(&listed.stdout).lines() {
            let _ = Command::new(&runtime).args(["delete", "--force", id]).status();
        }
        // The parents of the groups that some of them name.
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let _ = fs::remove_dir(hierarchy.path().join("testdir/cgrouptest"));
            let _ = fs::remove_dir(hierarchy.path().join("testdir"));
        }
    }
}

/// Maps the ids of a user namespace when it asks for it.
fn map_ids(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // Otherwise it has failed, and says why where it says everything.
    if line == "mapped?\n" {
        for file in ["uid_map", "gid_map"] {
            fs::write(format!("/proc/{}/{file}", child.id()), "0 0 65536\n").unwrap();
        }
        child.stdin.take().unwrap().write_all(b"yes\n").unwrap();
    }
}

/// None: it did not end in time.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).unwrap() > 0;
    if !ended {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    ended.then_some(status)
}

/// A program says `not ok`, fails, or, where it has no points to say `ok` to, explains an error.
fn judge(ended: Option<ExitStatus>, said: &str) -> Result<(), String> {
    let begins = |word: &str| said.lines().any(|line| line.starts_with(word));
    let explains = || said.lines().any(|line| line.trim_start().starts_with("\"error\""));
    let succeeded = ended.is_some_and(|status| status.success());
    if succeeded && !begins("not ok") && (begins("ok") || !explains()) {
        return Ok(());
    }
    let telling = |line: &&str| {
        let line = line.trim_start();
        ["not ok", "gaufre-oci", "time=", "\"error\"", "\"stderr\""].iter().any(|word| line.starts_with(word))
    };
    let lines: Vec<String> =
        said.lines().filter(telling).map(|line| line.chars().take(400).collect()).collect();
    Err(format!(
        "{}\n{}",
        ended.map_or("it did not end".to_owned(), |status| status.to_string()),
        lines.join("\n")
    ))
}
