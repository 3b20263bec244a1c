//! spec: the configuration that it writes.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::bundle::{Bundle, Outcome};

/// Both use libseccomp, which refuses rules that contradict each other.
#[test]
fn the_configuration_that_spec_writes_is_one_that_crun_and_runc_run_unchanged() {
    // crun knows only hosts of cgroup v1 or v2, and wants a memory limit of ours raised for device rules on v2.
    let pure = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup /sys/fs/cgroup && exec \"$@\"";
    let pid = std::process::id();
    for (at, runtime) in [&["crun", "--cgroup-manager=disabled"][..], &["runc"]].into_iter().enumerate() {
        let bundle = Bundle::sh("");
        bundle.must(&["spec", "--bundle", bundle.dir.path().to_str().unwrap()]);
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", pure, "sh"]).args(runtime);
        command.arg("--root").arg(bundle.dir.path().join("peer"));
        command.args(["run", &format!("spec-{pid}-{at}")]);
        command.current_dir(bundle.dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"echo ran\n").unwrap();
        let outcome = Outcome::of(&child.wait_with_output().unwrap());
        let hint = "(packages crun and runc are needed)";
        assert!(outcome.code == 0 && outcome.stdout == "ran\n", "{runtime:?} {hint}: {outcome:?}");
    }
}
