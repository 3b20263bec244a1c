//! The OCI runtime beside crun, runc and the floor.
//!
//! Everything happens in the peers' root directory, made the root by pivot_root(2) in a mount namespace with a pure
//! cgroup v2 view, once for all: what is timed is the runtimes' processes and nothing else. They are given the same bundle.

use super::report::{Goal, Row};
use crate::binaries::{self, Profile};
use crate::peers::{ENTER, Peers};
use crate::{command, debian};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ROUNDS: usize = 100;
/// Fewer of what consists of three commands each.
const ROUNDS_OF_THREE: usize = 60;

/// Prints a line for each runtime and the floor, in the order of the bench's rows. `lap` explains its words.
const MEASURE: &str = r#"
mount --bind "$PARTS" tmp
mkdir tmp/old
pivot_root . tmp/old
cd /tmp
umount -l /tmp/old
mkdir -p /run/ours
ours="/tmp/gaufre-oci --root /run/ours"
# On a read-only mount the program has no need to seal itself.
mkdir sealed
mount --bind . sealed
mount -o remount,bind,ro sealed
sealed="/tmp/sealed/gaufre-oci --root /run/ours"
bundle="--bundle /tmp/bundle"
./lap "$ROUNDS" $ours run $bundle bench , crun run $bundle bench , runc run $bundle bench \
    , ./floor /tmp/bundle/rootfs /sys/fs/cgroup/bench /bin/true , $sealed run $bundle bench
three() {
    echo "$@" create $bundle bench \; "$@" start bench \; wait \; "$@" delete bench
}
./lap "$ROUNDS_OF_THREE" $(three $ours) , $(three crun) , $(three runc)
running="--detach --bundle /tmp/running"
at_end() {
    $ours delete --force ours || true
    crun delete --force crun || true
    runc delete --force runc || true
}
trap at_end EXIT
# Their output is closed: what goes on running must not hold it open.
$ours run $running ours </dev/null >log 2>&1
crun run $running crun </dev/null >>log 2>&1
runc run $running runc </dev/null >>log 2>&1
./lap "$ROUNDS" $ours exec ours /bin/true , crun exec crun /bin/true , runc exec runc /bin/true
"#;

/// A median and the most memory resident, as `lap` prints them.
#[derive(Debug, Clone, Copy)]
struct Figure {
    time: Duration,
    peak_kb: u32,
}

pub(super) fn rows(runtime: &Path, peers: &Peers) -> Result<Vec<Row>> {
    let figures = measure(&parts(runtime)?, peers)?;
    let &[
        ours,
        crun,
        runc,
        floor,
        sealed,
        ours_three,
        crun_three,
        runc_three,
        ours_exec,
        crun_exec,
        runc_exec,
    ] = figures.as_slice()
    else {
        anyhow::bail!("{} figures came out", figures.len());
    };
    let times = |what: &str, ours: Figure, peer: Figure, goal, rounds| {
        Row::times(what, (ours.time, peer.time), goal, rounds)
    };
    let memories =
        |what: &str, peer: Figure, goal| Row::memories(what, (ours.peak_kb, peer.peak_kb), goal, ROUNDS);
    let three = "`create`, `start`, `delete`";
    Ok(vec![
        times("OCI `run` of /bin/true, beside crun", ours, crun, Goal::Ratio(0.6), ROUNDS),
        times("the same, beside the floor", ours, floor, Goal::Ratio(2.0), ROUNDS),
        times("the same, beside runc", ours, runc, Goal::Beside, ROUNDS),
        times(
            "the same, beside our own where nobody can write it: the seal",
            ours,
            sealed,
            Goal::Longer(300),
            ROUNDS,
        ),
        memories("the same, most memory resident, beside crun", crun, Goal::Ratio(1.0)),
        memories("the same, most memory resident, beside runc", runc, Goal::Beside),
        times(&format!("{three}, beside crun"), ours_three, crun_three, Goal::Ratio(0.6), ROUNDS_OF_THREE),
        times(&format!("{three}, beside runc"), ours_three, runc_three, Goal::Beside, ROUNDS_OF_THREE),
        times("`exec` of /bin/true, beside crun", ours_exec, crun_exec, Goal::Ratio(0.6), ROUNDS),
        times("the same, beside runc", ours_exec, runc_exec, Goal::Beside, ROUNDS),
    ])
}

fn measure(parts: &tempfile::TempDir, peers: &Peers) -> Result<Vec<Figure>> {
    let mut command = Command::new("unshare");
    let script = format!("{ENTER}\n{MEASURE}");
    command.args(["--mount", "--propagation=private", "sh", "-euc", &script]);
    command.env("ROOT", &peers.root).env("PARTS", parts.path());
    command.env("ROUNDS", ROUNDS.to_string()).env("ROUNDS_OF_THREE", ROUNDS_OF_THREE.to_string());
    let said = command::stdout(&mut command)?;
    said.lines().map(|line| figure(line).with_context(|| format!("{line} is no figure"))).collect()
}

fn figure(line: &str) -> Option<Figure> {
    let (time_ns, peak_kb) = line.split_once(' ')?;
    Some(Figure { time: Duration::from_nanos(time_ns.parse().ok()?), peak_kb: peak_kb.parse().ok()? })
}

/// A directory with all that is measured and measures, and the bundles.
fn parts(runtime: &Path) -> Result<tempfile::TempDir> {
    debian::install(&["busybox-static", "util-linux"])?;
    let parts = tempfile::tempdir().context("a directory for the bundles could not be made")?;
    fs::set_permissions(parts.path(), fs::Permissions::from_mode(0o755))?;
    let built = binaries::packages(&["gaufre-benches"], Profile::Release)?;
    for program in built.iter().map(PathBuf::as_path).chain([runtime]) {
        let name = program.file_name().context("a program has a name")?;
        fs::copy(program, parts.path().join(name))?;
    }
    bundle(&parts.path().join("bundle"), runtime, &["/bin/true"])?;
    bundle(&parts.path().join("running"), runtime, &["/bin/sleep", "3600"])?;
    Ok(parts)
}

/// The default configuration, which has all namespaces, the default capabilities and the default seccomp profile.
fn bundle(dir: &Path, runtime: &Path, args: &[&str]) -> Result<()> {
    fs::create_dir_all(dir.join("rootfs/bin"))?;
    for directory in ["proc", "dev", "sys"] {
        fs::create_dir(dir.join("rootfs").join(directory))?;
    }
    for program in ["true", "sleep"] {
        fs::copy("/bin/busybox", dir.join("rootfs/bin").join(program))?;
    }
    command::quiet(Command::new(runtime).args(["spec", "--bundle"]).arg(dir))?;
    let path = dir.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&path)?)?;
    spec["process"]["args"] = args.into();
    let rules = spec["linux"]["seccomp"]["syscalls"].as_array_mut();
    without_contradictions(rules.context("the default configuration has no seccomp profile")?);
    fs::write(&path, serde_json::to_vec(&spec)?)?;
    Ok(())
}

/// Takes out refusals of calls that are allowed as well, with other arguments or with any: libseccomp, on which crun and
/// runc build, refuses such rules, where ours decides by their order.
fn without_contradictions(rules: &mut Vec<Value>) {
    let allows = |rule: &Value| rule["action"] == "SCMP_ACT_ALLOW";
    let names = |rule: &Value| rule["names"].as_array().cloned().unwrap_or_default();
    let allowed: Vec<Value> = rules.iter().filter(|rule| allows(rule)).flat_map(names).collect();
    rules.retain(|rule| allows(rule) || !names(rule).iter().all(|name| allowed.contains(name)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_contradicting_rules_the_permission_stays() {
        let rule = |names: &[&str], action: &str| serde_json::json!({ "names": names, "action": action });
        let (allow, deny) = ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO");
        let mut rules = vec![rule(&["read"], allow), rule(&["read"], deny), rule(&["bpf", "read"], deny)];
        without_contradictions(&mut rules);
        assert_eq!(rules, [rule(&["read"], allow), rule(&["bpf", "read"], deny)]);
    }

    #[test]
    fn a_figure_is_a_time_and_an_amount_of_memory() {
        let figure = figure("1500000 2048").unwrap();
        assert_eq!((figure.time.as_micros(), figure.peak_kb), (1500, 2048));
    }
}
