//! Debian's SELinux policy, made where its package makes it: by its installation, in a small Debian of its own.

use crate::{cache, command, debian};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Where it lies in the VM, whose init loads it.
pub(super) const PLACE: &str = "/etc/selinux/policy";

const SUITE: &str = "bookworm";

/// The binary policy, of a version that every kernel here reads.
pub(super) fn policy() -> Result<PathBuf> {
    let place = cache::once(&cache::folder("selinux")?, &cache::key(&["1", SUITE]), |scratch| {
        let tree = scratch.join("tree");
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--mode=root", "--variant=minbase", "--format=directory"]);
        mmdebstrap.args(["--include=selinux-policy-default", "--dpkgopt=force-unsafe-io", SUITE]);
        command::quiet(mmdebstrap.arg(&tree).arg(debian::mirror()?))?;
        let made = fs::read_dir(tree.join("etc/selinux/default/policy"))?.next();
        let made = made.context("the package has made no policy")??;
        fs::copy(made.path(), scratch.join("policy"))?;
        cache::remove(&tree)
    });
    Ok(place.context("Debian's SELinux policy could not be made")?.join("policy"))
}
