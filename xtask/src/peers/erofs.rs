//! The newest EROFS tools, by which indexes of layers are judged. They run from where they are unpacked, with their own
//! libraries: tests start them hundreds of times, and entering the peers' root each time would take longer than they do.

use crate::{cache, command, debian};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const TOOLS: &[&str] = &["mkfs.erofs", "fsck.erofs", "dump.erofs"];

/// A script that runs a tool beside `root`, in which Debian's packages are unpacked.
const SCRIPT: &str = r#"#!/bin/sh
# Made by `cargo xtask peers`.
here="$(dirname "$(readlink -f "$0")")/.."
lib="$here/root/usr/lib/x86_64-linux-gnu"
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$here/root/usr/bin/$(basename "$0")" "$@"
"#;

/// Gets them unless they are cached, and points `erofs` in the cache folder at them: `bin/mkfs.erofs` and so on.
pub(crate) fn make() -> Result<PathBuf> {
    let dir = cache::folder("peers")?;
    let name = format!("erofs-{}", cache::key(&["1", &format!("{TOOLS:?}"), SCRIPT]));
    let place = cache::once(&dir, &name, |scratch| {
        debian::install(&["mmdebstrap", "debian-archive-keyring"])?;
        unpack(&scratch.join("root"))?;
        let bin = scratch.join("bin");
        fs::create_dir(&bin)?;
        for tool in TOOLS {
            fs::write(bin.join(tool), SCRIPT)?;
            fs::set_permissions(bin.join(tool), fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    })
    .context("the EROFS tools of Debian unstable could not be had")?;
    cache::point(&dir, "erofs", &place)?;
    Ok(place)
}

/// The package and what it depends on, not installed: nothing of it is run as root's system.
fn unpack(root: &Path) -> Result<()> {
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--mode=root", "--format=directory", "--variant=extract", "--include=erofs-utils"]);
    mmdebstrap.arg("--aptopt=Acquire::Check-Valid-Until \"false\"");
    command::quiet(mmdebstrap.arg("sid").arg(root).arg(debian::mirror()?))
}
