//! Debian's kernels for the test VM: downloaded by apt into a root of its own and unpacked, never installed.

use crate::apt::Apt;
use crate::{cache, command};
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernels that everything has to work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Release {
    /// Debian 12's
    #[value(name = "6.1")]
    Bookworm,
    /// Debian 13's
    #[value(name = "6.12")]
    Trixie,
    /// Debian unstable's
    #[value(name = "7.2")]
    Sid,
}

impl Release {
    /// Every one of them, oldest first.
    pub(crate) const ALL: [Self; 3] = [Self::Bookworm, Self::Trixie, Self::Sid];

    /// The name of Debian's release.
    pub(crate) fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }
}

/// A kernel ready to boot.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    /// Uncompressed modules, in an order in which each can be loaded.
    pub(super) modules: Vec<PathBuf>,
}

/// What the disk of the VM needs; the initrd loads these.
pub(super) const DISK_MODULES: &[&str] = &["virtio_pci", "virtio_blk", "ext4"];

/// What the sandboxes and the tests need; loaded from the disk.
const MODULES: &[&str] = &[
    "overlay",
    "fuse",
    "erofs",
    "loop",
    "tun",
    "veth",
    "bridge",
    "br_netfilter",
    "dummy",
    "macvlan",
    "nf_tables",
    "nf_conntrack",
    "nf_nat",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_redir",
    "nft_chain_nat",
    "nft_reject",
    "nft_reject_inet",
    "nft_fib",
    "nft_fib_inet",
    "nft_limit",
    "nft_log",
    "nft_numgen",
    "nft_hash",
    "sch_htb",
    "sch_tbf",
    "sch_ingress",
    "cls_u32",
    "act_mirred",
    "irqbypass",
    "kvm",
    "kvm_amd",
];

/// Fetches the kernel of `release` unless it is cached.
pub(super) fn fetch(release: Release) -> Result<Kernel> {
    let dir = cache::folder("kernels")?;
    let name = format!("{}-{}", release.suite(), cache::key(&["2", &format!("{DISK_MODULES:?}{MODULES:?}")]));
    let place = cache::once(&dir, &name, |scratch| {
        download(release, scratch)
            .with_context(|| format!("the kernel of Debian {} could not be had", release.suite()))
    })?;
    let order = fs::read_to_string(place.join("order"))?;
    let modules = order.lines().map(|module| place.join(module)).collect();
    Ok(Kernel { image: place.join("vmlinuz"), modules })
}

fn download(release: Release, scratch: &Path) -> Result<()> {
    let apt = Apt::new(&scratch.join("apt"), release.suite())?;
    let unpacked = scratch.join("unpacked");
    let debs = scratch.join("debs");
    fs::create_dir_all(&debs)?;
    let mut wanted = vec!["linux-image-cloud-amd64".to_owned()];
    while let Some(package) = wanted.pop() {
        let needed = kernel_packages_under(&apt, &package)?;
        // The metapackage itself holds nothing.
        if package != "linux-image-cloud-amd64" {
            command::quiet(apt.command("apt-get").args(["download", &package]).current_dir(&debs))?;
        }
        wanted.extend(needed);
    }
    for deb in fs::read_dir(&debs)? {
        command::quiet(Command::new("dpkg-deb").arg("-x").arg(deb?.path()).arg(&unpacked))?;
    }
    let files = files_below(&unpacked)?;
    let image = files
        .iter()
        .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
        .context("the packages hold no vmlinuz")?;
    fs::copy(image, scratch.join("vmlinuz"))?;
    let order = super::module::collect(&files, DISK_MODULES.iter().chain(MODULES), scratch)?;
    fs::write(scratch.join("order"), order.join("\n"))?;
    for leftover in ["apt", "debs", "unpacked"] {
        cache::remove(&scratch.join(leftover))?;
    }
    Ok(())
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => dirs.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    Ok(files)
}

/// The packages of the kernel itself that `package` depends on.
fn kernel_packages_under(apt: &Apt, package: &str) -> Result<Vec<String>> {
    let shown = command::stdout(apt.command("apt-cache").args(["show", "--no-all-versions", package]))?;
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends:")).unwrap_or_default();
    Ok(depends
        .split([',', '|'])
        .filter_map(|dependency| dependency.split_whitespace().next())
        .filter(|name| {
            ["linux-image-", "linux-binary-", "linux-modules-"].iter().any(|part| name.starts_with(part))
        })
        .map(str::to_owned)
        .collect())
}
