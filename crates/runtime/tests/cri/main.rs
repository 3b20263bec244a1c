//! The runtime under Kubernetes' interface: containerd's CRI plugin, driven by crictl.
//!
//! `cargo xtask peers` builds crictl where Go is at hand; without it everything here is skipped, visibly, which is why
//! the harness is one of its own. As root, with a static busybox and containerd.
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod pod;

#[path = "../drivers/daemon.rs"]
mod daemon;
#[path = "../drivers/rootfs.rs"]
mod rootfs;
#[path = "../drivers/run.rs"]
mod run;
#[path = "../validation/tally.rs"]
mod tally;
#[path = "../drivers/terminal.rs"]
mod terminal;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use run::{eventually, must, output};

/// A test, which fails by a panic.
type Test = fn(&pod::Cri);

const TESTS: [(&str, Test); 3] = [
    ("a_pod_s_container_goes_through_its_life", pod::a_pod_s_container_goes_through_its_life),
    ("a_limit_is_set_and_changed", pod::a_limit_is_set_and_changed),
    ("a_pod_s_container_has_a_terminal", pod::a_pod_s_container_has_a_terminal),
];

fn main() -> ExitCode {
    let started = Instant::now();
    let mut tally = tally::Tally::of("cri");
    println!("\nrunning {} tests", TESTS.len());
    match crictl() {
        Some(crictl) => run(crictl, &mut tally),
        None => {
            let why = "crictl is not built: `cargo xtask peers` does it where Go is at hand";
            TESTS.iter().for_each(|(name, _)| tally.ignore(name, why));
        }
    }
    tally.conclude(started)
}

fn run(crictl: PathBuf, tally: &mut tally::Tally) {
    let Ok(cri) = catch_unwind(|| pod::Cri::start(crictl)) else {
        return TESTS.iter().for_each(|(name, _)| tally.fail(name, "there is no pod: see above".into()));
    };
    for (name, test) in TESTS {
        match catch_unwind(AssertUnwindSafe(|| test(&cri))) {
            Ok(()) => tally.pass(name),
            Err(_) => tally.fail(name, "it says why above".into()),
        }
    }
}

/// Where `cargo xtask peers` puts it, or `$GAUFRE_CRICTL`.
fn crictl() -> Option<PathBuf> {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
    let cached = || cache.map_or_else(home, PathBuf::from).join("gaufre/peers/crictl");
    let crictl = std::env::var_os("GAUFRE_CRICTL").map_or_else(cached, PathBuf::from);
    crictl.exists().then_some(crictl)
}
