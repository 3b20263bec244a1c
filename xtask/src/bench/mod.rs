//! `cargo xtask bench`: measures gaufre side by side with its peers, and writes benches/RESULTS.md.
//!
//! One file for each bench: it measures, and gives rows. Ours and the peer's runs alternate, so that whatever else the
//! machine does meets both alike; medians are compared.

mod machine;
mod measure;
mod oci;
mod ps;
mod pull;
mod report;
mod run;
mod view;

use crate::binaries::{self, Profile};
use crate::peers::{self, Peers, Room};
use crate::{debian, images};
use anyhow::{Context, Result};
use gaufre_tests::{Gaufre, Registry};
use report::Row;
use std::path::{Path, PathBuf};
use std::process::Command;
use view::CgroupView;

/// What the benches measure with.
#[derive(Debug)]
struct Bench {
    gaufre: Gaufre,
    binary: PathBuf,
    registry: Registry,
    peers: Peers,
    room: Room,
    view: CgroupView,
}

/// How a bench measures and gives what is to be reported.
enum Measure {
    /// The engine, with images from a registry, beside podman.
    Engine(fn(&Bench) -> Result<Vec<Row>>),
    /// `gaufre-oci` alone, beside other runtimes.
    Runtime(fn(&Path, &Peers) -> Result<Vec<Row>>),
}

/// A bench by name. Add yours here.
const BENCHES: &[(&str, Measure)] = &[
    ("oci", Measure::Runtime(oci::rows)),
    ("run", Measure::Engine(run::rows)),
    ("pull", Measure::Engine(pull::rows)),
    ("ps", Measure::Engine(ps::rows)),
];

/// Runs the benches called `only`, or all of them, and writes the results unless only some were run.
/// Measures `binary`, with the `gaufre-oci` beside it, or builds both.
pub(crate) fn run(only: &[String], binary: Option<&Path>) -> Result<()> {
    let peers = peers::make().context("the peers could not be had")?;
    let mut engine = None;
    let mut rows = Vec::new();
    for (name, measure) in
        BENCHES.iter().filter(|bench| only.is_empty() || only.iter().any(|name| name == bench.0))
    {
        println!("== {name}");
        let measured = match measure {
            Measure::Engine(measure) => {
                let bench = match engine.take() {
                    Some(bench) => bench,
                    None => Bench::open(binary, &peers)?,
                };
                measure(engine.insert(bench))
            }
            Measure::Runtime(measure) => measure(&runtime(binary)?, &peers),
        };
        let measured = measured.with_context(|| format!("the bench {name} failed"))?;
        measured.iter().for_each(|row| println!("{row}"));
        rows.extend(measured);
    }
    if let (true, Some(bench)) = (only.is_empty(), &engine) {
        let path = binaries::workspace().join("benches/RESULTS.md");
        let notes = std::fs::read_to_string(path.with_file_name("NOTES.md")).unwrap_or_default();
        std::fs::write(&path, format!("{}\n{notes}", report::page(&machine::describe(bench), &rows)))?;
        println!("written to {}", path.display());
    }
    Ok(())
}

/// The `gaufre-oci` that stands beside `binary`, or a new one.
fn runtime(binary: Option<&Path>) -> Result<PathBuf> {
    match binary {
        Some(binary) => Ok(binary.with_file_name("gaufre-oci")),
        None => {
            let built = binaries::packages(&["gaufre-runtime"], Profile::Release)?;
            built
                .into_iter()
                .find(|path| path.ends_with("gaufre-oci"))
                .context("the release build gave no gaufre-oci")
        }
    }
}

fn built() -> Result<PathBuf> {
    let built = binaries::product(Profile::Release)?;
    built.into_iter().find(|path| path.ends_with("gaufre")).context("the release build gave no gaufre")
}

impl Bench {
    /// Sets up what the engine and podman need.
    fn open(binary: Option<&Path>, peers: &Peers) -> Result<Self> {
        debian::install(&["docker-registry", "skopeo", "util-linux", "nftables"])?;
        let binary = binary.map_or_else(built, |binary| Ok(binary.to_owned()))?;
        images::make()?;
        Ok(Self {
            // As /run is on most machines, and as the peers have theirs.
            gaufre: Gaufre::with_binary(&binary).with_run_in(Path::new("/dev/shm")),
            binary,
            registry: Registry::with_images(),
            peers: peers.clone(),
            room: Room::open(peers)?,
            view: CgroupView::open()?,
        })
    }

    /// Our program with arguments.
    fn ours(&self, arguments: &[&str]) -> Command {
        let mut command = self.gaufre.command();
        command.args(arguments);
        command
    }

    /// Podman with arguments, in its root.
    fn podman(&self, arguments: &[&str]) -> Command {
        let mut command = self.room.command("podman");
        command.args(arguments);
        command
    }

    /// Our program running a container, where there is nothing but cgroup v2 and that has no controllers.
    fn our_run(&self, arguments: &[&str]) -> Command {
        self.view.wrap(&self.ours(&[&["run", "--pids-limit=0"], arguments].concat()))
    }

    /// The same for podman, on a machine with low limits.
    fn podman_run<'a>(&self, arguments: &[&'a str]) -> Command {
        const NEEDED: [&str; 6] = [
            "--cgroup-manager=cgroupfs",
            "run",
            "--pids-limit=0",
            "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=1024:1024",
            "--log-driver=k8s-file",
        ];
        let all: Vec<&'a str> = NEEDED.into_iter().chain(arguments.iter().copied()).collect();
        self.podman(&all)
    }

    /// Gives both engines the image `name`.
    fn both_pull(&self, name: &str) -> Result<String> {
        let image = self.registry.image(name);
        measure::time(&mut self.ours(&["pull", "--quiet", "--tls-verify=false", &image]))?;
        measure::time(&mut self.podman(&["pull", "--quiet", "--tls-verify=false", &image]))?;
        Ok(image)
    }
}

impl Drop for Bench {
    /// Podman's containers and images; ours go with their store.
    fn drop(&mut self) {
        for arguments in [&["rm", "--all", "--force", "--time=0"][..], &["rmi", "--all", "--force"]] {
            let _ = self.podman(arguments).output();
        }
        // netavark leaves its table when the last container has gone.
        let _ = Command::new("nft").args(["delete", "table", "inet", "netavark"]).output();
    }
}
