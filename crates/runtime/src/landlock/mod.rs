//! Landlock, on the wish of an annotation: the workload reaches only the files and TCP ports that are listed.
//!
//! The annotation is `org.gaufre.landlock`; its value is a JSON object:
//!
//! ```json
//! {
//!     "readOnly": ["/usr", "/etc"],
//!     "readWrite": ["/tmp", "/dev"],
//!     "bindTcp": [8080],
//!     "connectTcp": [443]
//! }
//! ```
//!
//! - `readOnly`: files below may be read and executed, directories listed.
//! - `readWrite`: everything that the file system itself allows.
//! - `bindTcp`, `connectTcp`: where one of them is given, only its ports may be bound or connected to; an empty list
//!   forbids all. Without it that is not restricted. (Landlock ABI 4, Linux 6.7.)
//!
//! What is on neither list of paths cannot be opened. Paths are absolute, meant inside the container, and must exist.
//! `process.noNewPrivileges` is needed. Rights that the running kernel's Landlock does not know are not restricted:
//! truncation before ABI 3 (Linux 6.2), ioctl on devices before ABI 5 (Linux 6.10). It is in addition to everything else
//! and is put in force last before the system call filter, for executed processes as for the first.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Process;
use rustix::fs::{FileType, OFlags};
use serde::Deserialize;

use crate::rootfs::root::{Links, open_within};
use crate::step::{Step, StepError};
use crate::sys::landlock::{RulesetAttr, abi, allow_path, allow_port, create_ruleset};

/// The annotation.
pub const ANNOTATION: &str = "org.gaufre.landlock";

/// More rules than anybody writes by hand.
const RULES_MAX: usize = 1000;

/// What the annotation says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LandlockPlan {
    #[serde(default)]
    read_only: Vec<PathBuf>,
    #[serde(default)]
    read_write: Vec<PathBuf>,
    bind_tcp: Option<Vec<u16>>,
    connect_tcp: Option<Vec<u16>>,
}

impl LandlockPlan {
    /// Reads the annotation's value for `process`. None: it is not there.
    pub(crate) fn of(value: Option<&str>, process: &Process) -> Result<Option<Self>, StepError> {
        let Some(value) = value else { return Ok(None) };
        let bad = |what: &str| Err(StepError::rule(format!("the annotation {ANNOTATION} {what}")));
        let plan: Self = match serde_json::from_str(value) {
            Ok(plan) => plan,
            Err(error) => return bad(&format!("cannot be read: {error}")),
        };
        let ports = [&plan.bind_tcp, &plan.connect_tcp].into_iter().flatten().map(Vec::len).sum::<usize>();
        if plan.read_only.len() + plan.read_write.len() + ports > RULES_MAX {
            return bad(&format!("has more than {RULES_MAX} rules"));
        }
        if let Some(path) = plan.read_only.iter().chain(&plan.read_write).find(|path| !path.is_absolute()) {
            return bad(&format!("names {}, which is not an absolute path", path.display()));
        }
        if process.no_new_privileges() != Some(true) {
            return bad("needs process.noNewPrivileges");
        }
        Ok(Some(plan))
    }

    /// Makes the rules; called in the container's root, with the privileges to reach every path in it.
    pub(crate) fn ruleset(&self) -> Result<OwnedFd, StepError> {
        let abi = abi().step(|| format!("the annotation {ANNOTATION} needs Landlock in the kernel"))?;
        let net = [(&self.bind_tcp, access::BIND_TCP), (&self.connect_tcp, access::CONNECT_TCP)];
        let net = net.iter().filter(|(ports, _)| ports.is_some()).fold(0, |net, (_, right)| net | right);
        if net != 0 && abi < 4 {
            return Err(StepError::rule(format!(
                "the annotation {ANNOTATION} restricts ports, which needs Linux 6.7"
            )));
        }
        let handled = access::all(abi);
        let attr = RulesetAttr { handled_access_fs: handled, handled_access_net: net };
        let rules = create_ruleset(&attr).step(|| "could not make a Landlock ruleset")?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open("/", flags, rustix::fs::Mode::empty())
            .step(|| "could not open the container's root")?;
        let lists = [(&self.read_only, access::READ_ONLY), (&self.read_write, handled)];
        for (paths, allowed) in lists {
            for path in paths {
                allow(&rules, &root, path, allowed & handled)?;
            }
        }
        let lists = [(&self.bind_tcp, access::BIND_TCP), (&self.connect_tcp, access::CONNECT_TCP)];
        for (ports, allowed) in lists {
            for port in ports.iter().flatten() {
                allow_port(rules.as_fd(), *port, allowed)
                    .step(|| format!("could not allow the port {port} by {ANNOTATION}"))?;
            }
        }
        Ok(rules)
    }
}

fn allow(rules: &OwnedFd, root: &OwnedFd, path: &Path, allowed: u64) -> Result<(), StepError> {
    let what = || format!("{} in the container cannot be allowed by {ANNOTATION}", path.display());
    let file = open_within(root.as_fd(), path, OFlags::PATH, Links::Within).step(what)?;
    let is_dir = FileType::from_raw_mode(rustix::fs::fstat(&file).step(what)?.st_mode) == FileType::Directory;
    let allowed = if is_dir { allowed } else { allowed & access::OF_FILES };
    allow_path(rules.as_fd(), file.as_fd(), allowed).step(what)
}

/// `LANDLOCK_ACCESS_*` of linux/landlock.h.
mod access {
    const EXECUTE: u64 = 1;
    const WRITE_FILE: u64 = 1 << 1;
    const READ_FILE: u64 = 1 << 2;
    const READ_DIR: u64 = 1 << 3;
    const TRUNCATE: u64 = 1 << 14;
    const IOCTL_DEV: u64 = 1 << 15;
    pub(super) const READ_ONLY: u64 = EXECUTE | READ_FILE | READ_DIR;
    /// What can be said of anything but a directory.
    pub(super) const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
    pub(super) const BIND_TCP: u64 = 1;
    pub(super) const CONNECT_TCP: u64 = 1 << 1;

    /// Every right on files that a version of the interface knows.
    pub(super) fn all(abi: i64) -> u64 {
        let bits = match abi {
            ..=1 => 13,
            2 => 14,
            3 | 4 => 15,
            _ => 16,
        };
        (1 << bits) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(value: &str, no_new_privileges: bool) -> Result<Option<LandlockPlan>, StepError> {
        let mut process = Process::default();
        process.set_no_new_privileges(Some(no_new_privileges));
        LandlockPlan::of(Some(value), &process)
    }

    #[test]
    fn a_word_that_is_not_known_and_a_relative_path_are_refused() {
        assert!(plan(r#"{"readOnly": ["/usr"]}"#, true).unwrap().is_some());
        assert!(plan(r#"{"readonly": ["/usr"]}"#, true).unwrap_err().to_string().contains("readonly"));
        assert!(plan(r#"{"readOnly": ["usr"]}"#, true).unwrap_err().to_string().contains("absolute"));
        assert!(plan("{}", false).unwrap_err().to_string().contains("noNewPrivileges"));
    }
}
