//! What is run: ways to end that a runtime has to notice, and to clean up after.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;

use crate::bundle::Bundle;
use crate::left::Places;

/// Longer than a run takes on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(120);

struct Kind {
    bundle: Bundle,
    code: i32,
    stdout: &'static str,
}

/// The kinds, and where they could leave something; the names of all their containers begin with the same.
pub(crate) struct Kinds {
    all: Vec<Kind>,
    pub(crate) places: Places,
}

impl Kinds {
    pub(crate) fn new() -> Self {
        let kind = |bundle: Bundle, code, stdout| {
            // Written once: many read it at a time.
            drop(bundle.oci(&[]));
            fs::create_dir(bundle.dir.path().join("tmp")).unwrap();
            Kind { bundle, code, stdout }
        };
        let program = |path: &str| Bundle::sh("").with("/process/args", json!([path]));
        let mut with_the_host_s_pids = Bundle::sh("sleep 600 & kill -KILL $$");
        let namespaces = with_the_host_s_pids.spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
        // The shell's own last one is the directory in which it looks for the others.
        let descriptors = "/proc/1/fd/0 /proc/1/fd/1 /proc/1/fd/2 /proc/1/fd/3\n";
        let all = vec![
            kind(program("/bin/true"), 0, ""),
            kind(Bundle::sh("exit 3"), 3, ""),
            kind(program("/no/such"), 1, ""),
            kind(Bundle::sh("sleep 600 & exit 0"), 0, ""),
            kind(with_the_host_s_pids, 137, ""),
            kind(Bundle::sh("echo /proc/$$/fd/*"), 0, descriptors),
        ];
        // Others may run the same test on this host at the same time.
        let dir = all[0].bundle.dir.path().file_name().unwrap().to_str().unwrap();
        let id = format!("runs-{}-", dir.trim_start_matches('.'));
        let dirs = all.iter().map(|kind| kind.bundle.dir.path().to_owned()).collect();
        Self { all, places: Places { id, dirs } }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Runs the kind whose turn it is.
    pub(crate) fn run(&self, index: usize) {
        let kind = &self.all[index % self.all.len()];
        let dir = kind.bundle.dir.path();
        let id = format!("{}{index}", self.places.id);
        let mut run = kind.bundle.bare(&["run", "--bundle"]);
        run.arg(dir).arg(&id).env("TMPDIR", dir.join("tmp"));
        let (code, stdout, stderr) = outcome(&mut run, &id);
        assert_eq!((code, stdout.as_str()), (kind.code, kind.stdout), "{id}: {stderr}");
    }
}

fn outcome(command: &mut Command, id: &str) -> (i32, String, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if !ends(&child) {
        let told = told_of(&child);
        child.kill().unwrap();
        panic!("{id} has not ended after {} s:\n{told}", PATIENCE.as_secs());
    }
    let status = child.wait().unwrap();
    // Whoever is left and holds the other end is a process that is left, which is seen as one.
    let said = |pipe: Option<&mut dyn Read>| {
        let mut text = String::new();
        pipe.unwrap().read_to_string(&mut text).map(|_| text).unwrap()
    };
    let stdout = said(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
    let stderr = said(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
    (status.code().unwrap_or(-1), stdout, stderr)
}

fn ends(child: &Child) -> bool {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let patience = Timespec::try_from(PATIENCE).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)).unwrap() > 0
}

/// Where it and its children are.
fn told_of(child: &Child) -> String {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let dir = PathBuf::from(format!("/proc/{}", child.id()));
    let children = read(&dir.join("task").join(child.id().to_string()).join("children"));
    let mut told = String::new();
    for pid in std::iter::once(child.id().to_string()).chain(children.split_whitespace().map(str::to_owned)) {
        let dir = Path::new("/proc").join(&pid);
        told += &format!("{pid} in {}: {}\n", read(&dir.join("wchan")), read(&dir.join("stack")));
    }
    told
}
