//! The options before the verb.

use std::path::{Path, PathBuf};

use gaufre_runtime::cgroup::CgroupManager;
use gaufre_runtime::state::StateDir;

use crate::args::{Args, Known, flag, value};
use crate::report::Report;

pub(crate) const OPTIONS: &[Known] = &[
    value("root", "", "DIR", "where the state of containers is kept (default /run/gaufre-oci)"),
    value("log", "", "FILE", "write messages there as well"),
    value("log-format", "", "text|json", "in this form (default text)"),
    value("log-level", "", "LEVEL", "error, warning or debug, as crun has it"),
    flag("debug", "", "write more messages"),
    flag("systemd-cgroup", "", "let systemd make the cgroups"),
    value("cgroup-manager", "", "NAME", "cgroupfs, systemd or disabled, as crun has it"),
    value(
        "rootless",
        "",
        "auto|true|false",
        "accepted as runc has it: what may be done is found out by doing it",
    ),
    value("criu", "", "PATH", "accepted as runc has it, without effect"),
    flag("version", "v", "print the version"),
    flag("help", "h", "print this"),
];

/// What holds for every verb.
#[derive(Debug)]
pub(crate) struct Global {
    root: PathBuf,
    pub(crate) cgroup_manager: CgroupManager,
    pub(crate) report: Report,
}

impl Global {
    /// Reads the options; where messages go is told to `report` first, so that a wrong option is reported there.
    pub(crate) fn of(args: &Args, report: &mut Report) -> Result<Self, String> {
        report.file = args.value("log").filter(|path| !path.is_empty()).map(PathBuf::from);
        report.debug = args.has("debug") || args.value("log-level") == Some("debug");
        match args.value("log-format") {
            Some("json") => report.json = true,
            None | Some("text" | "") => {}
            Some(other) => return Err(format!("--log-format: {other} is neither text nor json")),
        }
        if !matches!(args.value("log-level"), None | Some("error" | "warning" | "debug")) {
            return Err("--log-level is error, warning or debug".to_owned());
        }
        if !matches!(args.value("rootless"), None | Some("auto" | "true" | "false")) {
            return Err("--rootless is auto, true or false".to_owned());
        }
        let root = args.value("root").map_or_else(default_root, PathBuf::from);
        Ok(Self { root, cgroup_manager: cgroup_manager(args)?, report: report.clone() })
    }

    /// Where the states are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The state of the container that the first operand names.
    pub(crate) fn state_dir(&self, args: &Args) -> Result<StateDir, crate::command::Failure> {
        Ok(StateDir::at(&self.root, args.operand(0, "the container's id")?)?)
    }
}

fn cgroup_manager(args: &Args) -> Result<CgroupManager, String> {
    match args.value("cgroup-manager") {
        Some("systemd") => Ok(CgroupManager::Systemd),
        Some("disabled") => Ok(CgroupManager::Disabled),
        Some(other) if other != "cgroupfs" => {
            Err(format!("--cgroup-manager: {other} is not cgroupfs, systemd or disabled"))
        }
        _ if args.has("systemd-cgroup") => Ok(CgroupManager::Systemd),
        _ => Ok(CgroupManager::Cgroupfs),
    }
}

/// As runc: root's is in /run, another user's in that user's own runtime directory; so is that of a user who is root
/// in a user namespace only.
fn default_root() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match own {
        Some(dir) if !is_real_root() => Path::new(&dir).join("gaufre-oci"),
        _ => PathBuf::from("/run/gaufre-oci"),
    }
}

fn is_real_root() -> bool {
    // The first user namespace maps all ids but one: user_namespaces(7).
    let all_mapped = || {
        std::fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
    };
    rustix::process::geteuid().is_root() && all_mapped()
}
