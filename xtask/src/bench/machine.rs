//! What the figures were measured on and with.

use super::Bench;
use crate::command;
use std::fs;
use std::process::Command;

/// A list of the machine, its kernel, and the versions of everything measured.
pub(super) fn describe(bench: &Bench) -> String {
    let peer = |program| bench.peers.version(program).unwrap_or_else(|| "absent".to_owned());
    let said = |program: &str, arguments: &[&str]| first_line(Command::new(program).args(arguments));
    let lines = [
        ("date", said("date", &["-u", "+%Y-%m-%d"])),
        ("processor", processor()),
        ("memory", memory()),
        // Without what the builder of the kernel has added to its version.
        ("kernel", said("uname", &["-sr"]).split('-').next().unwrap_or_default().to_owned()),
        (
            "cgroups",
            if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
                "v2"
            } else {
                "hybrid or v1"
            }
            .into(),
        ),
        (
            "gaufre",
            format!("{}, revision {}", first_line(Command::new(&bench.binary).arg("--version")), revision()),
        ),
        ("podman", peer("podman")),
        ("crun", peer("crun")),
        ("runc", peer("runc")),
        ("conmon", peer("conmon")),
        ("netavark", peer("netavark")),
        ("registry", said("docker-registry", &["--version"])),
    ];
    let list: String = lines.iter().map(|(name, value)| format!("- {name}: {value}\n")).collect();
    format!(
        "{list}\nPodman runs from Debian unstable in a root directory of its own. `run` is measured in a mount namespace with a pure \
         cgroup v2 view on both sides, because crun refuses a hybrid layout; both enter theirs with nsenter and chroot (about \
         1 ms of each time) and make a cgroup, without a limit on processes. Both have their run directory on a tmpfs.\n\n\
         The figures of the OCI runtimes are of their processes alone, started in turns by one small program in such a \
         namespace, which has the peers' root directory as its root. All get one bundle: the default configuration of \
         `gaufre-oci spec`, with all namespaces, its capabilities, devices and seccomp profile. The floor \
         (benches/src/bin/floor.rs) is a program that makes a cgroup, the namespaces and the mounts, executes, waits and \
         removes the cgroup, and nothing else.\n"
    )
}

fn revision() -> String {
    let here = crate::binaries::workspace();
    first_line(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(here))
}

fn first_line(command: &mut Command) -> String {
    let said = command::stdout(command).unwrap_or_else(|_| "unknown".to_owned());
    said.lines().next().unwrap_or("unknown").trim().to_owned()
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} cores of {}", model.trim_start_matches(['\t', ' ', ':']))
}

fn memory() -> String {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb: u64 = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    format!("{} GB", kb * 1024 / 1_000_000_000)
}
