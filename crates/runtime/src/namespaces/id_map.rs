//! The user and group IDs of a new user namespace: user_namespaces(7).

use std::fmt::Write;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use oci_spec::runtime::LinuxIdMapping;
use rustix::io::Errno;
use rustix::process::Pid;

use crate::procfs;
use crate::step::{Step, StepError};

/// How many lines a map can have: user_namespaces(7), since Linux 4.15.
const LINES_MAX: usize = 340;

/// The maps of a user namespace, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMaps {
    uid: Vec<LinuxIdMapping>,
    gid: Vec<LinuxIdMapping>,
}

impl IdMaps {
    /// Checks the maps of `owner`, the part of the configuration that has them. None where both are empty.
    pub(crate) fn new(
        owner: &str,
        uid: Option<&[LinuxIdMapping]>,
        gid: Option<&[LinuxIdMapping]>,
    ) -> Result<Option<Self>, StepError> {
        let (uid, gid) = (uid.unwrap_or_default(), gid.unwrap_or_default());
        match (uid.is_empty(), gid.is_empty()) {
            (true, true) => return Ok(None),
            (true, false) => {
                return Err(StepError::rule(format!("{owner} has gidMappings and no uidMappings")));
            }
            (false, true) => {
                return Err(StepError::rule(format!("{owner} has uidMappings and no gidMappings")));
            }
            (false, false) => {}
        }
        check(owner, "uidMappings", uid)?;
        check(owner, "gidMappings", gid)?;
        Ok(Some(Self { uid: uid.to_vec(), gid: gid.to_vec() }))
    }

    /// The user and group that a process in the namespace becomes while it is ours: root, where root is mapped, else
    /// the first that is.
    pub(crate) fn first_ids(&self) -> (u32, u32) {
        let first = |map: &[LinuxIdMapping]| {
            let has_root = map.iter().any(|mapping| mapping.container_id() == 0);
            let first = map.first().map_or(0, LinuxIdMapping::container_id);
            if has_root { 0 } else { first }
        };
        (first(&self.uid), first(&self.gid))
    }

    /// Gives the new user namespace of process `pid` its maps. Where the caller may not, newuidmap(1) and newgidmap(1)
    /// do it, as far as subuid(5) and subgid(5) allow.
    pub(crate) fn write(&self, pid: Pid, proc: BorrowedFd<'_>) -> Result<(), StepError> {
        let write = |file: &str, text: &str| procfs::write(proc, &format!("{pid}/{file}"), text.as_bytes());
        match write("uid_map", &lines(&self.uid)) {
            Err(Errno::PERM) => by_helper("newuidmap", "uidMappings", pid, &self.uid)?,
            written => written.step(|| "could not map the user ids")?,
        }
        let single = matches!(&self.gid[..], [only] if only.size() == 1);
        match write("gid_map", &lines(&self.gid)) {
            Err(Errno::PERM) if single => {
                // Without privileges a group can be mapped only by one who gives up setgroups(2).
                write("setgroups", "deny").step(|| "could not deny setgroups")?;
                write("gid_map", &lines(&self.gid)).step(|| "could not map the group ids")
            }
            Err(Errno::PERM) => by_helper("newgidmap", "gidMappings", pid, &self.gid),
            written => written.step(|| "could not map the group ids"),
        }
    }
}

fn check(owner: &str, field: &str, map: &[LinuxIdMapping]) -> Result<(), StepError> {
    let bad = |what: String| Err(StepError::rule(format!("{owner}.{field}: {what}")));
    if map.len() > LINES_MAX {
        return bad(format!("{} mappings are more than the kernel's {LINES_MAX}", map.len()));
    }
    for mapping in map {
        let (inside, outside, size) = (mapping.container_id(), mapping.host_id(), mapping.size());
        // The last id, all ones, stands for none.
        let fits = |first: u32| first.checked_add(size).is_some();
        if size == 0 || !fits(inside) || !fits(outside) {
            return bad(format!(
                "{size} ids from {inside} in the container and {outside} on the host are no range"
            ));
        }
    }
    Ok(())
}

/// As uid_map and gid_map take them.
fn lines(map: &[LinuxIdMapping]) -> String {
    map.iter().fold(String::new(), |mut text, mapping| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", mapping.container_id(), mapping.host_id(), mapping.size());
        text
    })
}

/// Where distributions have the helpers. PATH does not decide: they run with privileges.
const HELPER_DIRS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"];

fn by_helper(helper: &str, field: &str, pid: Pid, map: &[LinuxIdMapping]) -> Result<(), StepError> {
    let path = HELPER_DIRS.iter().map(|dir| Path::new(dir).join(helper)).find(|path| path.exists());
    let Some(path) = path else {
        return Err(StepError::new(
            format!("{field}: without root, more than one's own id needs {helper} (package uidmap)"),
            Errno::PERM,
        ));
    };
    let what = || format!("could not run {}", path.display());
    let mut command = Command::new(&path);
    command.arg(pid.to_string()).env_clear().stdin(Stdio::null());
    for mapping in map {
        command.args(
            [mapping.container_id(), mapping.host_id(), mapping.size()].map(|number| number.to_string()),
        );
    }
    let output = command.output().step(what)?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(StepError::rule(format!("{field}: {} refused: {}", path.display(), words.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Vec<LinuxIdMapping> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_map_is_written_inside_first() {
        let map = map(
            r#"[{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 9}]"#,
        );
        assert_eq!(lines(&map), "0 1000 1\n1 100000 9\n");
    }

    #[test]
    fn an_impossible_range_is_refused_by_name() {
        for range in [
            r#"[{"containerID": 0, "hostID": 0, "size": 0}]"#,
            r#"[{"containerID": 4294967295, "hostID": 0, "size": 1}]"#,
        ] {
            let error = IdMaps::new("linux", Some(&map(range)), Some(&map(range))).unwrap_err();
            assert!(error.to_string().contains("linux.uidMappings"), "{error}");
        }
    }

    #[test]
    fn one_map_without_the_other_is_refused() {
        let map = map(r#"[{"containerID": 0, "hostID": 0, "size": 1}]"#);
        assert!(IdMaps::new("linux", Some(&map), None).is_err());
        assert!(IdMaps::new("linux", None, Some(&map)).is_err());
        assert_eq!(IdMaps::new("linux", None, None).unwrap(), None);
    }

    #[test]
    fn without_root_in_the_map_the_first_id_is_taken() {
        let map = map(r#"[{"containerID": 7, "hostID": 0, "size": 3}]"#);
        assert_eq!(IdMaps::new("linux", Some(&map), Some(&map)).unwrap().unwrap().first_ids(), (7, 7));
    }
}
