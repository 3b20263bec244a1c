//! A small profile of AppArmor, compiled by Debian's own compiler, which is unpacked and not installed.

use crate::apt::Apt;
use crate::{cache, command};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Where it lies in the VM.
pub(super) const PLACE: &str = "/etc/apparmor/profile";

const SUITE: &str = "bookworm";

/// It allows what containers do, but for one file.
const PROFILE: &str = "profile gaufre-test flags=(attach_disconnected, mediate_deleted) {
  capability,
  file,
  network,
  signal,
  deny /forbidden rw,
}
";

/// The compiled profile, for the features of AppArmor that every kernel here has.
pub(super) fn profile() -> Result<PathBuf> {
    let place = cache::once(&cache::folder("apparmor")?, &cache::key(&["1", SUITE, PROFILE]), |scratch| {
        let apt = Apt::new(&scratch.join("apt"), SUITE)?;
        command::quiet(apt.command("apt-get").args(["download", "apparmor"]).current_dir(scratch))?;
        let unpacked = scratch.join("unpacked");
        let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
        let package = fs::read_dir(scratch)?.flatten().map(|entry| entry.path()).find(is_package);
        let package = package.context("apt has downloaded no package")?;
        command::quiet(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked))?;
        fs::write(scratch.join("source"), PROFILE)?;
        let features = unpacked.join("usr/share/apparmor-features/features");
        let mut compile = Command::new(unpacked.join("sbin/apparmor_parser"));
        compile.args(["--skip-kernel-load", "--skip-cache", "--config-file=/dev/null"]);
        for (option, path) in [
            ("base", &unpacked.join("etc/apparmor.d")),
            ("kernel-features", &features),
            ("policy-features", &features),
            ("ofile", &scratch.join("profile")),
        ] {
            compile.arg(format!("--{option}={}", path.display()));
        }
        command::quiet(compile.arg(scratch.join("source")))?;
        fs::remove_file(package)?;
        cache::remove(&scratch.join("apt"))?;
        cache::remove(&unpacked)
    });
    Ok(place.context("a profile of AppArmor could not be made")?.join("profile"))
}
