//! A default configuration, and the pieces from which an engine builds its own.

use std::collections::HashSet;
use std::path::PathBuf;

use oci_spec::runtime::{
    Capability, Linux, LinuxBuilder, LinuxCapabilities, LinuxCapabilitiesBuilder, LinuxNamespace,
    LinuxNamespaceBuilder, LinuxNamespaceType, LinuxResourcesBuilder, Mount, MountBuilder, ProcessBuilder,
    RootBuilder, Spec, SpecBuilder,
};

use crate::cgroup::default_device_rules;

/// A configuration that runs `sh` in the bundle's `rootfs`, isolated in every way, with the default filter.
pub fn default_spec() -> Spec {
    let capabilities = default_capabilities();
    let process = ProcessBuilder::default()
        .args(vec!["sh".to_owned()])
        .env(vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()])
        .cwd("/")
        .no_new_privileges(true)
        .capabilities(capability_sets(&capabilities))
        .build()
        .unwrap_or_default();
    let mut process = process;
    process.set_rlimits(None);
    process.set_terminal(Some(false));
    SpecBuilder::default()
        // What it needs of a runtime: crun refused all but 1.0 for long.
        .version("1.0.2")
        .root(RootBuilder::default().path("rootfs").readonly(false).build().unwrap_or_default())
        .process(process)
        .hostname("gaufre")
        .mounts(default_mounts(64 << 20))
        .linux(default_linux(&capabilities))
        .build()
        .unwrap_or_default()
}

/// The Linux part: all namespaces but the user's, the default filter for `capabilities`, masks, device rules.
pub fn default_linux(capabilities: &HashSet<Capability>) -> Linux {
    let resources =
        LinuxResourcesBuilder::default().devices(default_device_rules()).build().unwrap_or_default();
    LinuxBuilder::default()
        .namespaces(default_namespaces())
        .resources(resources)
        .seccomp(crate::seccomp::default_profile(capabilities))
        .masked_paths(default_masked_paths())
        .readonly_paths(default_readonly_paths())
        .build()
        .unwrap_or_default()
}

/// New namespaces of every type but user and time.
pub fn default_namespaces() -> Vec<LinuxNamespace> {
    use LinuxNamespaceType as T;
    [T::Pid, T::Mount, T::Uts, T::Ipc, T::Network, T::Cgroup]
        .into_iter()
        .map(|kind| LinuxNamespaceBuilder::default().typ(kind).build().unwrap_or_default())
        .collect()
}

/// The capabilities of a container that was asked for nothing special: podman's set, which needs no raw sockets and
/// makes no device nodes.
pub fn default_capabilities() -> HashSet<Capability> {
    use Capability as C;
    HashSet::from([
        C::Chown,
        C::DacOverride,
        C::Fowner,
        C::Fsetid,
        C::Kill,
        C::NetBindService,
        C::Setfcap,
        C::Setgid,
        C::Setpcap,
        C::Setuid,
        C::SysChroot,
    ])
}

/// The sets for a process of root with these capabilities: bounding, permitted, effective. Inheritable and ambient
/// ones are for users other than root, and for those who ask.
fn capability_sets(capabilities: &HashSet<Capability>) -> LinuxCapabilities {
    let mut sets = LinuxCapabilitiesBuilder::default()
        .bounding(capabilities.clone())
        .permitted(capabilities.clone())
        .effective(capabilities.clone())
        .build()
        .unwrap_or_default();
    sets.set_inheritable(None);
    sets.set_ambient(None);
    sets
}

/// proc, dev, pts, mqueue, shm (of `shm_bytes`), sysfs and cgroup, in the order in which they have to be mounted.
pub fn default_mounts(shm_bytes: u64) -> Vec<Mount> {
    let shm_size = format!("size={shm_bytes}");
    let mounts: [(&str, &str, &str, &[&str]); 7] = [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=65536k"]),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm_size]),
        ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ];
    mounts
        .into_iter()
        .map(|(destination, kind, source, options)| {
            MountBuilder::default()
                .destination(destination)
                .typ(kind)
                .source(PathBuf::from(source))
                .options(options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
                .build()
                .unwrap_or_default()
        })
        .collect()
}

/// What a container must not see: keys, timers, memory and hardware of the host.
pub fn default_masked_paths() -> Vec<String> {
    [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What a container may read and must not change.
pub fn default_readonly_paths() -> Vec<String> {
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"].map(str::to_owned).to_vec()
}
