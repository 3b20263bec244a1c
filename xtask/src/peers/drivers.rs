//! The runtime's tests under its drivers, with the newest podman and containerd instead of the machine's own.

use super::{go, make, room};
use crate::binaries::{self, Profile};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// In the peers' root directory, made the root by pivot_root(2), as on a machine that has it as its own. The cgroups are
/// the machine's, for there to be limits.
const IN_PEERS: &str = r#"
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mkdir tmp/tests tmp/old
mount --bind "$TESTS" tmp/tests
pivot_root . tmp/old
cd /
umount -l /tmp/old
for test in drivers cri; do "/tmp/tests/$test"; done
"#;

/// Runs them; what they say is shown, and whether all of them passed is the answer.
pub(crate) fn run() -> Result<bool> {
    let peers = make()?;
    let tests = tempfile::tempdir().context("a directory for the tests could not be made")?;
    for test in ["drivers", "cri"] {
        copy(&binaries::test("gaufre-runtime", test)?, tests.path(), test)?;
    }
    let product = binaries::product(Profile::Dev)?;
    let runtime = product.iter().find(|path| path.ends_with("gaufre-oci"));
    copy(runtime.context("the product has no gaufre-oci")?, tests.path(), "gaufre-oci")?;
    copy(Path::new("/bin/busybox"), tests.path(), "busybox")?;
    if go::is_at_hand() {
        copy(&go::crictl()?, tests.path(), "crictl")?;
    }
    println!("podman {}, containerd {}", version(&peers, "podman"), version(&peers, "containerd"));
    let script = format!("{}\n{IN_PEERS}", room::ENTER);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "sh", "-euc", &script]);
    command.env("ROOT", &peers.root).env("TESTS", tests.path());
    for (name, file) in
        [("GAUFRE_OCI", "gaufre-oci"), ("GAUFRE_BUSYBOX", "busybox"), ("GAUFRE_CRICTL", "crictl")]
    {
        command.env(name, Path::new("/tmp/tests").join(file));
    }
    Ok(command.env("PODMAN_IGNORE_CGROUPSV1_WARNING", "1").status()?.success())
}

fn version(peers: &super::Peers, program: &str) -> String {
    peers.version(program).unwrap_or_else(|| "absent".to_owned())
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    fs::copy(from, to.join(name)).with_context(|| format!("{} could not be copied", from.display()))?;
    Ok(())
}
