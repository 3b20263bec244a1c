//! `cargo xtask peers`: the newest peers, from Debian unstable, in a root directory of their own; and what is built from
//! Go modules to try the runtime with.

pub(crate) mod drivers;
pub(crate) mod erofs;
pub(crate) mod go;
mod room;

pub(crate) use room::{ENTER, Room};

use crate::apt::Apt;
use crate::{cache, command, debian};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A peer: its program, its package, and the argument that makes it say its version.
const PEERS: &[(&str, &str, &str)] = &[
    ("podman", "podman", "--version"),
    ("crun", "crun", "--version"),
    ("runc", "runc", "--version"),
    ("youki", "youki", "--version"),
    ("conmon", "conmon", "--version"),
    ("netavark", "netavark", "--version"),
    ("aardvark-dns", "aardvark-dns", "--version"),
    ("passt", "passt", "--version"),
    ("buildah", "buildah", "--version"),
    ("skopeo", "skopeo", "--version"),
    ("umoci", "umoci", "--version"),
    ("containerd", "containerd", "--version"),
    ("criu", "criu", "--version"),
    ("mkfs.erofs", "erofs-utils", "--version"),
    ("containerd-nydus-grpc", "nydus-snapshotter", "--version"),
];

/// What the peers themselves need beside what their packages depend on.
const SUPPORT: &[&str] = &["ca-certificates", "nftables", "iproute2", "golang-github-containers-common"];

/// Where the peers are.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    pub(crate) root: PathBuf,
    /// Scripts named as the programs, which run them from the machine's own system.
    pub(crate) bin: PathBuf,
}

impl Peers {
    /// What `program` says of its version, or `None` if it could not be had.
    pub(crate) fn version(&self, program: &str) -> Option<String> {
        let argument = PEERS.iter().find(|peer| peer.0 == program)?.2;
        let said = command::stdout(Command::new(self.bin.join(program)).arg(argument)).ok()?;
        let line = said.lines().find(|line| !line.trim().is_empty())?.trim();
        Some(line.strip_prefix(program).unwrap_or(line).trim().to_owned())
    }
}

/// Makes the peers unless they are cached.
pub(crate) fn make() -> Result<Peers> {
    let dir = cache::folder("peers")?;
    let place = cache::once(&dir, &name(), |scratch| {
        debian::install(&["mmdebstrap", "debian-archive-keyring", "util-linux"])?;
        fill(scratch)
    })?;
    Ok(Peers { root: place.join("root"), bin: place.join("bin") })
}

fn name() -> String {
    cache::key(&["1", &format!("{PEERS:?}{SUPPORT:?}"), room::ENTER])
}

/// Makes the peers and prints what there is.
pub(crate) fn show(refresh: bool) -> Result<()> {
    if refresh {
        cache::remove(&cache::folder("peers")?.join(name()))?;
    }
    let peers = make()?;
    for (program, ..) in PEERS {
        println!("{program:<14} {}", peers.version(program).as_deref().unwrap_or("absent"));
    }
    println!("run them as {}/PROGRAM", peers.bin.display());
    println!("the EROFS tools for tests are in {}", erofs::make()?.display());
    if go::is_at_hand() {
        println!("the validation programs are in {}", go::validation()?.display());
        println!("crictl is {}", go::crictl()?.display());
    } else {
        println!("the validation programs and crictl are absent: Go is missing");
    }
    Ok(())
}

fn fill(scratch: &Path) -> Result<()> {
    let apt = Apt::new(&scratch.join("apt"), "sid")
        .context("the package lists of Debian unstable could not be had")?;
    let wanted = PEERS.iter().map(|peer| peer.1).chain(SUPPORT.iter().copied());
    let packages: Vec<&str> = wanted.filter(|package| apt.has(package)).collect();
    cache::remove(&scratch.join("apt"))?;
    let root = scratch.join("root");
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--mode=root", "--format=directory", "--variant=minbase", "--dpkgopt=force-unsafe-io"]);
    mmdebstrap
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg(format!("--include={}", packages.join(",")));
    command::quiet(mmdebstrap.arg("sid").arg(&root).arg(debian::mirror()?))?;
    configure(&root)?;
    let bin = scratch.join("bin");
    fs::create_dir(&bin)?;
    for (program, ..) in PEERS {
        let script = bin.join(program);
        fs::write(&script, room::script(program))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Podman as it runs on a machine like this: crun, overlay on the disk, anything may be pulled, log files.
fn configure(root: &Path) -> Result<()> {
    let containers = root.join("etc/containers");
    fs::create_dir_all(&containers)?;
    fs::write(containers.join("policy.json"), "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}\n")?;
    fs::write(
        containers.join("storage.conf"),
        "[storage]\ndriver = \"overlay\"\ngraphroot = \"/var/lib/containers/storage\"\nrunroot = \"/run/containers/storage\"\n",
    )?;
    fs::write(
        containers.join("containers.conf"),
        "[engine]\nruntime = \"crun\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
    )?;
    Ok(())
}
