//! Sees what the machine has before a test, and that it has no more afterwards.

use crate::tool::{PATIENCE, tool};
use crate::turn::Alone;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What can be left behind: mounts, cgroups, network links, nf_tables tables and processes of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    seen: BTreeSet<String>,
}

impl Witness {
    /// Looks at the machine as it is now.
    pub fn now() -> Self {
        let mut seen = BTreeSet::new();
        seen.extend(mounts().into_iter().map(|mount| format!("mount {mount}")));
        seen.extend(cgroups().into_iter().map(|path| format!("cgroup {}", path.display())));
        seen.extend(links().into_iter().map(|link| format!("link {link}")));
        seen.extend(tables().into_iter().map(|table| format!("nf_tables {table}")));
        Self { seen }
    }

    /// Keeps other tests of the same program waiting that have a store: a witness cannot tell whose a thing is. To be
    /// called before the test has one itself.
    ///
    /// # Panics
    ///
    /// If it has.
    pub fn alone() -> Alone {
        Alone::new()
    }

    /// What is there now that was not there then.
    pub fn more(&self) -> Vec<String> {
        Self::now().seen.difference(&self.seen).cloned().collect()
    }

    /// Waits a little for what is about to go, then fails on what stays.
    ///
    /// # Panics
    ///
    /// If anything of ours is left.
    pub fn nothing_more(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let more = self.more();
            if more.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left behind:\n{}", more.join("\n"));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Mounts of the host's namespace, by mount point and file system.
fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    table.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect()
}

/// Every cgroup, in every hierarchy, that lies below the one of our name: tests of the runtime have groups with longer
/// names. The group that holds all sandboxes stays between them, empty, as other engines' do.
fn cgroups() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                dirs.push(entry.path());
            }
        }
        let ours = dir.components().any(|part| part.as_os_str() == "gaufre");
        if ours && !dir.ends_with("gaufre") {
            found.push(dir);
        }
    }
    found
}

fn links() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn tables() -> Vec<String> {
    let listed =
        tool("nft").args(["list", "tables"]).output().expect("nft runs: `cargo xtask test` installs it");
    String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
}

/// The processes, except zombies and this one, whose command line `ours` claims.
pub(crate) fn processes(ours: impl Fn(&str) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            !line.is_empty() && ours(&String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}
