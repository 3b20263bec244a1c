//! What these tests share: a sandbox, who keeps it, and killing that.

use gaufre_tests::{Gaufre, Registry, tool, until};
use serde_json::Value;
use std::path::PathBuf;

pub fn ready() -> (Gaufre, String) {
    let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
    let image = gaufre.pull(&registry, "base");
    (gaufre, image)
}

/// A detached sandbox that does what `script` says; its ID.
pub fn detached(gaufre: &Gaufre, image: &str, options: &[&str], script: &str) -> String {
    let arguments = [&["run", "-d"], options, &[image, "bash", "-c", script]].concat();
    gaufre.ok(&arguments).trim().to_owned()
}

/// Where a sandbox waits until it is let go on: a folder of the host that it has as `/gate`.
pub struct Gate(PathBuf);

/// What a script says to wait there.
pub const WAIT: &str = "while [ ! -e /gate/open ]; do sleep 0.05; done";

impl Gate {
    pub fn new(gaufre: &Gaufre, name: &str) -> Self {
        let dir = gaufre.dir().join(name);
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    /// The flag by which a sandbox has it.
    pub fn mount(&self) -> String {
        format!("--volume={}:/gate", self.0.display())
    }

    pub fn open(&self) {
        std::fs::write(self.0.join("open"), "").unwrap();
    }
}

/// A detached sandbox that waits at a gate before it does what `script` says; its ID.
pub fn held(gaufre: &Gaufre, image: &str, name: &str, options: &[&str], script: &str) -> (String, Gate) {
    let gate = Gate::new(gaufre, name);
    let mount = gate.mount();
    let options = [&["--network=none", &mount], options].concat();
    (detached(gaufre, image, &options, &format!("{WAIT}; {script}")), gate)
}

/// The state file that a keeper writes for its successor.
pub fn state(gaufre: &Gaufre, id: &str) -> Option<Value> {
    let path = gaufre.dir().join("run/sandboxes").join(id).join("state.json");
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

pub fn keeper(gaufre: &Gaufre, id: &str) -> String {
    state(gaufre, id).expect("a keeper")["keeper_pid"].to_string()
}

pub fn holder(gaufre: &Gaufre, id: &str) -> String {
    state(gaufre, id).expect("a keeper")["phase"]["holder"]["pid"].to_string()
}

pub fn workload(gaufre: &Gaufre, id: &str) -> String {
    state(gaufre, id).expect("a keeper")["phase"]["pid"].to_string()
}

pub fn kill9(pid: &str) {
    assert!(tool("kill").args(["-KILL", pid]).status().unwrap().success(), "kill {pid}");
    until("the end of what was killed", || (!runs(pid)).then_some(()));
}

/// Whether the process is there and not a zombie.
pub fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub fn status(gaufre: &Gaufre, name: &str) -> Value {
    let inspected: Value = serde_json::from_str(&gaufre.ok(&["inspect", name])).unwrap();
    inspected[0]["State"].clone()
}

/// The numbers in a log, which may repeat but must not leave one out.
pub fn gapless(log: &str) -> u64 {
    let mut last = 0;
    for line in log.lines() {
        let number: u64 = line.parse().unwrap_or_else(|_| panic!("{line:?} is no number"));
        assert!(number <= last + 1, "{number} follows {last}");
        last = last.max(number);
    }
    last
}

pub const COUNT: &str = "i=0; while [ ! -e /stop ]; do i=$((i+1)); echo $i; done; echo $((i+1))";

pub fn stop_counting(gaufre: &Gaufre, id: &str) {
    // The workload may end, and touch with it, before touch does.
    let said = gaufre.say(&["exec", id, "touch", "/stop"]);
    assert!([0, 137].contains(&said.code), "{said:?}");
}

/// Kills the keeper and says who its holder was.
pub fn holder_after_keeper(gaufre: &Gaufre, id: &str) -> String {
    let holder = holder(gaufre, id);
    kill9(&keeper(gaufre, id));
    holder
}

pub fn keepers(gaufre: &Gaufre) -> Vec<u32> {
    let is_keeper = |pid: &u32| {
        // A holder is a copy of its keeper, with another name.
        std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"gaufre-keeper\n")
    };
    let called_so: Vec<u32> = gaufre.processes().into_iter().filter(is_keeper).collect();
    // What becomes the workload is called as the keeper that made it, until it executes.
    let made_by_one = |pid: u32| parent(pid).is_some_and(|parent| called_so.contains(&parent));
    called_so.iter().copied().filter(|pid| !made_by_one(*pid)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}
