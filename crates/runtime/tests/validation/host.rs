//! What this host has.

use std::fs;
use std::path::Path;

use crate::programs::{Needs, Program};

/// What the host lacks for a program, if it lacks anything that cannot be made up for.
pub(crate) fn lacks(program: &Program) -> Option<String> {
    match program.needs {
        Needs::Controller(name) => {
            let has = Path::new("/sys/fs/cgroup").join(name).join("tasks").exists();
            (!has).then(|| format!("the program knows cgroup v1 only, and this host has no {name} there"))
        }
        Needs::NoAppArmor => apparmor().then(|| "it sets a profile that AppArmor does not have".to_owned()),
        // Root in a new user namespace has them all.
        Needs::AllCapabilities | Needs::Nothing => None,
    }
}

fn apparmor() -> bool {
    fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

/// Whether our own bounding set has every capability that the kernel knows.
pub(crate) fn has_all_capabilities() -> bool {
    let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    u64::from_str_radix(bounding.trim(), 16).unwrap() == (1 << (last + 1)) - 1
}
