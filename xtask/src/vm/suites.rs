//! What the tests run in the VM: files to put there, and a command.

use super::{Extra, apparmor};
use crate::binaries::{self, Profile};
use crate::peers::go;
use anyhow::Result;
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};

/// Files to put into the VM, and the command to run there.
pub(crate) type Suite = (Vec<Extra>, Vec<String>);

/// The product's binaries, as they lie in the VM.
pub(crate) fn product() -> Result<Vec<Extra>> {
    let binaries = binaries::product(Profile::Dev)?;
    Ok(binaries.into_iter().filter_map(|binary| into("/usr/bin", binary)).collect())
}

/// The tests that the VM is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tests {
    /// The runtime's own
    Runtime,
    /// Those of the runtime's own that need SELinux
    Selinux,
    /// Those of the runtime's own that need AppArmor
    Apparmor,
    /// The validation programs of the runtime specification
    Validation,
}

impl Tests {
    /// What to put into the VM, and the command.
    pub(crate) fn suite(self) -> Result<Suite> {
        match self {
            Self::Runtime => sandbox_tests(),
            Self::Selinux => selinux_tests(),
            Self::Apparmor => apparmor_tests(),
            Self::Validation => validation(),
        }
    }
}

/// Those that count are shorter than elsewhere: the VM is slow.
fn sandbox_tests() -> Result<Suite> {
    let script = "export GAUFRE_RACES=50 GAUFRE_RUNS=30 GAUFRE_RUNS_AT_A_TIME=5; \
        sandbox --test-threads=2; sandbox=$?; runs --test-threads=1 && killed --test-threads=1 && exit $sandbox";
    runtime_tests(&["sandbox", "runs", "killed"], script)
}

fn selinux_tests() -> Result<Suite> {
    runtime_tests(&["sandbox"], "exec sandbox --ignored selinux::")
}

/// Debian's kernels have AppArmor where nothing else is asked for; without a profile, until one is loaded.
fn apparmor_tests() -> Result<Suite> {
    let load = "mount -t securityfs securityfs /sys/kernel/security && \
        cat /etc/apparmor/profile > /sys/kernel/security/apparmor/.replace";
    let (mut extras, argv) =
        runtime_tests(&["sandbox"], &format!("{load} && exec sandbox --ignored apparmor::"))?;
    extras.push(Extra { host: apparmor::profile()?, guest: apparmor::PLACE.into() });
    Ok((extras, argv))
}

fn validation() -> Result<Suite> {
    const PLACE: &str = "/usr/lib/validation";
    let (mut extras, argv) =
        runtime_tests(&["validation"], &format!("GAUFRE_VALIDATION={PLACE} exec validation"))?;
    for file in fs::read_dir(go::validation()?)? {
        extras.extend(into(PLACE, file?.path()));
    }
    Ok((extras, argv))
}

/// Test programs of the runtime's, each under its own name, and a script that runs them.
fn runtime_tests(programs: &[&str], script: &str) -> Result<Suite> {
    let mut extras = product()?;
    for program in programs {
        let host = binaries::test("gaufre-runtime", program)?;
        extras.push(Extra { host, guest: Path::new("/usr/bin").join(program) });
    }
    let script = format!("export GAUFRE_OCI=/usr/bin/gaufre-oci GAUFRE_BUSYBOX=/bin/busybox; {script}");
    Ok((extras, vec!["sh".to_owned(), "-c".to_owned(), script]))
}

/// The file in a directory of the VM, under its own name.
fn into(dir: &str, host: PathBuf) -> Option<Extra> {
    let guest = Path::new(dir).join(host.file_name()?);
    Some(Extra { host, guest })
}
