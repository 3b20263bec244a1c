//! The programs: those that pass, and those that cannot.

/// A program that passes.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) needs: Needs,
}

/// What a program needs of the host beside Linux.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// A controller of cgroup v1, the only version that the programs know.
    Controller(&'static str),
    /// Every capability.
    AllCapabilities,
    /// It sets a profile that does not exist.
    NoAppArmor,
}

const fn program(name: &'static str) -> Program {
    Program { name, needs: Needs::Nothing }
}

const fn limit(name: &'static str, controller: &'static str) -> Program {
    Program { name, needs: Needs::Controller(controller) }
}

/// Those that pass. The slow ones come first, so that none is left over at the end.
pub(crate) const PASS: [Program; 42] = [
    program("kill"),
    program("linux_masked_paths"),
    program("linux_readonly_paths"),
    Program { name: "linux_rootfs_propagation", needs: Needs::AllCapabilities },
    program("config_updates_without_affect"),
    program("create"),
    program("default"),
    limit("delete_only_create_resources", "pids"),
    limit("delete_resources", "pids"),
    program("hooks_stdin"),
    program("hostname"),
    program("kill_no_effect"),
    program("killsig"),
    limit("linux_cgroups_cpus", "cpu"),
    limit("linux_cgroups_devices", "devices"),
    limit("linux_cgroups_pids", "pids"),
    limit("linux_cgroups_relative_cpus", "cpu"),
    limit("linux_cgroups_relative_devices", "devices"),
    limit("linux_cgroups_relative_pids", "pids"),
    program("linux_devices"),
    program("linux_mount_label"),
    program("linux_ns_itype"),
    program("linux_ns_nopath"),
    program("linux_ns_path"),
    program("linux_ns_path_type"),
    Program { name: "linux_process_apparmor_profile", needs: Needs::NoAppArmor },
    program("linux_seccomp"),
    program("linux_sysctl"),
    program("linux_uid_mappings"),
    program("mounts"),
    program("poststart"),
    program("poststop"),
    program("poststop_fail"),
    program("prestart_fail"),
    program("process"),
    Program { name: "process_capabilities", needs: Needs::AllCapabilities },
    program("process_oom_score_adj"),
    program("process_rlimits_fail"),
    program("process_user"),
    program("root_readonly_true"),
    program("start"),
    program("state"),
];

/// It passes where the workload is quicker to write a line than the poststart hook, which is started after it: a tie on
/// a machine with more to do than processors to do it.
pub(crate) const TIES: [&str; 1] = ["poststart"];

/// Those that cannot pass; docs/oci-runtime.md says why of each.
pub(crate) const CANNOT: [&str; 16] = [
    "delete",
    "hooks",
    "linux_cgroups_blkio",
    "linux_cgroups_hugetlb",
    "linux_cgroups_memory",
    "linux_cgroups_network",
    "linux_cgroups_relative_blkio",
    "linux_cgroups_relative_hugetlb",
    "linux_cgroups_relative_memory",
    "linux_cgroups_relative_network",
    "misc_props",
    "pidfile",
    "poststart_fail",
    "prestart",
    "process_capabilities_fail",
    "process_rlimits",
];
