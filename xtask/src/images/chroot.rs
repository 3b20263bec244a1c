//! Fills the trees of layers: the base by mmdebstrap, the others by apt in a chroot on an overlay.
//!
//! All mounts are made in a private mount namespace, so that whatever ends this program, nothing stays mounted.

use super::recipe::{LayerRecipe, SUITE};
use crate::{cache, command, debian};
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Documentation that no container reads, as most published Debian images leave it out.
const UNWANTED: &[&str] =
    &["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"];

/// Makes a small Debian in `tree`.
pub(super) fn bootstrap(recipe: &LayerRecipe, tree: &Path) -> Result<()> {
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--mode=root", "--format=directory", "--variant=minbase"]);
    mmdebstrap.args(UNWANTED.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    mmdebstrap.args(["--dpkgopt=force-unsafe-io", "--customize-hook=rm -f $1/etc/hostname"]);
    mmdebstrap.arg("--customize-hook=printf '#!/bin/sh\\nexit 101\\n' > $1/usr/sbin/policy-rc.d");
    mmdebstrap.arg("--customize-hook=chmod 755 $1/usr/sbin/policy-rc.d");
    if !recipe.packages.is_empty() {
        mmdebstrap.arg(format!("--include={}", recipe.packages.join(",")));
    }
    command::quiet(mmdebstrap.arg(SUITE).arg(tree).arg(debian::mirror()?))?;
    fs::write(tree.join("etc/resolv.conf"), "")?;
    clean(tree)
}

/// Installs `recipe` over the trees `lower` (nearest first) and leaves what it wrote, with overlayfs's marks, in `tree`.
pub(super) fn install(recipe: &LayerRecipe, lower: &[PathBuf], tree: &Path) -> Result<()> {
    let apt = cache::folder("apt")?.join(SUITE);
    let _lock = cache::lock(&cache::folder("apt")?, SUITE)?;
    let beside = tree.with_extension("work");
    for dir in
        [tree, &beside.join("work"), &beside.join("root"), &apt.join("lists"), &apt.join("archives/partial")]
    {
        fs::create_dir_all(dir)?;
    }
    let lower: Vec<String> = lower.iter().map(|dir| dir.display().to_string()).collect();
    let mut chroot = Command::new("unshare");
    chroot.args([
        "--mount",
        "--propagation=private",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-eu",
        "-c",
        SCRIPT,
    ]);
    chroot.env("LOWER", lower.join(":")).env("UPPER", tree).env("BESIDE", &beside).env("APT", &apt);
    chroot
        .env("PACKAGES", recipe.packages.join(" "))
        .env("PREPARE", recipe.prepare)
        .env("SETUP", recipe.setup);
    chroot.env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    command::quiet(&mut chroot)?;
    cache::remove(&beside)?;
    clean(tree)
}

/// The package lists are fetched once for all layers, packages once for all runs; neither becomes part of a layer.
const SCRIPT: &str = r#"
root="$BESIDE/root"
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$BESIDE/work,redirect_dir=off,metacopy=off,index=off" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$APT/lists" "$root/var/lib/apt/lists"
mount --bind "$APT/archives" "$root/var/cache/apt/archives"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
apt() { chroot "$root" apt-get -q -y -o APT::Sandbox::User=root -o APT::Keep-Downloaded-Packages=true --no-install-recommends "$@"; }
chroot "$root" sh -eu -c "$PREPARE"
if [ -z "$(find "$APT/updated" -mmin -600 2> /dev/null)" ]; then apt update; touch "$APT/updated"; fi
apt install $PACKAGES
chroot "$root" sh -eu -c "$SETUP"
"#;

/// Drops what differs from run to run and what no container needs.
fn clean(tree: &Path) -> Result<()> {
    for path in ["var/log/apt", "var/log/dpkg.log", "var/log/alternatives.log", "var/log/bootstrap.log"]
        .iter()
        .chain(&[
            "var/cache/ldconfig/aux-cache",
            "var/cache/debconf/config.dat-old",
            "var/cache/apt/pkgcache.bin",
        ])
        .chain(&[
            "var/cache/apt/srcpkgcache.bin",
            "var/cache/debconf/templates.dat-old",
            "var/lib/dpkg/status-old",
        ])
    {
        let path = tree.join(path);
        if path.is_dir() {
            fs::remove_dir_all(&path)?;
        } else if path.is_file() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
