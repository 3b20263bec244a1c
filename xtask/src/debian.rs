//! Debian's packages: which mirror this machine uses, and how what is missing gets installed.

use crate::command;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Debian's archive keys, as its package `debian-archive-keyring` installs them.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The mirror of Debian's main archive, as the machine's own apt sources name it, or `$GAUFRE_DEBIAN_MIRROR`.
pub(crate) fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var("GAUFRE_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| archive_in(&text)).context(
        "the machine's apt sources name no Debian archive; set GAUFRE_DEBIAN_MIRROR to the address of one",
    )
}

/// The first address in an apt source file, of either style, whose path ends in `/debian`.
fn archive_in(sources: &str) -> Option<String> {
    sources
        .lines()
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.contains("://") && word.ends_with("/debian"))
        .map(str::to_owned)
}

/// Makes sure that `packages` are installed: through apt when root, else an error with the command to run.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() {
        bail!("packages are missing: {}\nInstall them as root: {by_hand}", missing.join(" "));
    }
    if Command::new("apt-get").arg("--version").output().is_err() {
        bail!("packages are missing and this machine has no apt: {}", missing.join(" "));
    }
    println!("installing {}", missing.join(" "));
    with_services_held_back(|| {
        command::quiet(apt().arg("update"))?;
        command::quiet(apt().args(["install", "--yes", "--no-install-recommends"]).args(&missing))
    })
    .with_context(|| format!("packages could not be installed; by hand: {by_hand}"))
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
    apt
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

/// Debian's packages start their services when installed; invoke-rc.d(8) asks policy-rc.d first, which says no here.
/// A policy of the machine's own stays untouched.
fn with_services_held_back(work: impl FnOnce() -> Result<()>) -> Result<()> {
    const POLICY: &str = "/usr/sbin/policy-rc.d";
    if Path::new(POLICY).exists() {
        return work();
    }
    fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("{POLICY} could not be written"))?;
    fs::set_permissions(POLICY, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let done = work();
    fs::remove_file(POLICY).with_context(|| format!("{POLICY} could not be removed"))?;
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_found_in_both_styles_of_source_file() {
        let old =
            "# x\ndeb-src http://a.example/debian sid main\ndeb http://b.example/debian bookworm main\n";
        assert_eq!(archive_in(old).as_deref(), Some("http://b.example/debian"));
        let new = "Types: deb\nURIs: http://c.example/debian/\nSuites: bookworm\n";
        assert_eq!(archive_in(new).as_deref(), Some("http://c.example/debian"));
        assert_eq!(archive_in("deb http://d.example/debian-security s main\n"), None);
    }
}
