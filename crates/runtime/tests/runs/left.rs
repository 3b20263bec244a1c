//! Everything that a container could leave.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, getpid, wait};

/// The kernel takes its time with groups and dead processes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a container could leave something, beside its namespaces.
pub(crate) struct Places {
    /// What the names of its groups have in them.
    pub(crate) id: String,
    /// Bundles with the runtime's `--root` and its temporary directory.
    pub(crate) dirs: Vec<PathBuf>,
}

/// What is there, each thing with a word for its kind.
pub(crate) struct Left<'a> {
    places: &'a Places,
    things: BTreeSet<String>,
}

impl<'a> Left<'a> {
    pub(crate) fn now(places: &'a Places) -> Self {
        Self { places, things: look(places) }
    }

    /// Fails if there is more, or less, than there was.
    pub(crate) fn is_all_there_is(&self) {
        self.is_all_there_is_after("");
    }

    /// As before; `what` says after what.
    pub(crate) fn is_all_there_is_after(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = look(self.places);
            let left: Vec<&String> = now.difference(&self.things).take(20).collect();
            let gone = self.things.difference(&now).filter(|thing| !is_gone_for_all(thing));
            let gone: Vec<&String> = gone.take(20).collect();
            if left.is_empty() && gone.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                panic!("{what}\nleft: {left:#?}\ngone: {gone:#?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A mount goes from all mount namespaces when somebody on the host removes the directory that it is on.
fn is_gone_for_all(thing: &str) -> bool {
    let place = thing.strip_prefix("mount ").and_then(|line| line.split(' ').nth(4));
    place.is_some_and(|place| !Path::new(place).exists())
}

fn look(places: &Places) -> BTreeSet<String> {
    reap();
    let mut things = BTreeSet::new();
    let mut see = |kind: &str, thing: &str| _ = things.insert(format!("{kind} {thing}"));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().for_each(|line| see("mount", line));
    for process in names("/proc").filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        let dir = Path::new("/proc").join(&process);
        let name = fs::read_to_string(dir.join("comm")).unwrap_or_default();
        see("process", &format!("{process} {}", name.trim_end()));
        let namespaces = dir.join("ns");
        for name in names(&namespaces) {
            // It may end while we look, and we look again.
            let link = fs::read_link(namespaces.join(name)).unwrap_or_default();
            see("namespace", &link.display().to_string());
        }
    }
    see("descriptors of the test:", &names("/proc/self/fd").count().to_string());
    // Directories only: the files of a group change with the controllers that somebody hands on to it.
    below(Path::new("/sys/fs/cgroup"), &mut |path, is_dir| {
        if is_dir && path.to_string_lossy().contains(&places.id) {
            see("cgroup", &path.display().to_string());
        }
    });
    for dir in places.dirs.iter().map(PathBuf::as_path).chain(["/run", "/dev/shm"].map(Path::new)) {
        below(dir, &mut |path, _| see("file", &path.display().to_string()));
    }
    things
}

/// Whoever is left without a parent comes to us, the first process; one that has ended is nothing left.
fn reap() {
    if getpid() == Pid::INIT {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

fn below(dir: &Path, see: &mut impl FnMut(&Path, bool)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, is_dir) = (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir()));
        see(&path, is_dir);
        if is_dir {
            below(&path, see);
        }
    }
}

/// What a directory holds; one that goes while we look holds nothing.
fn names(dir: impl AsRef<Path>) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
