//! Groups that a container made below its own.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Cgroup, CgroupError};

impl Cgroup {
    /// The group that a further process can enter: this one or, where the container has handed its controllers on to
    /// groups below (a systemd or an engine in it does), the one that its first process `pid` is in. cgroups(7), "no
    /// internal processes": a v2 group with controllers below it takes none itself.
    pub fn to_join(&self, pid: i32) -> Self {
        match self.unified.as_deref().and_then(|dir| below_of_first(dir, pid)) {
            Some(dir) => Self { unified: Some(dir), ..self.clone() },
            None => self.clone(),
        }
    }

    /// The group `path` below this one, for a process to enter; with `controllers` only in their v1 hierarchies, and
    /// this group itself in the others. Nothing is made.
    ///
    /// # Errors
    /// A path with `..`, or a controller that is in no v1 hierarchy. Whether the group exists shows when it is entered.
    pub fn below(&self, controllers: Option<&[&str]>, path: &Path) -> Result<Self, CgroupError> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
        if !path.components().all(plain) {
            return Err(CgroupError::Name { path: path.to_owned() });
        }
        let path = path.strip_prefix("/").unwrap_or(path);
        // Somebody made it already: it does not wait for its first process.
        let mut below = Self { scope: None, ..self.clone() };
        match controllers {
            None => {
                below.unified = self.unified.as_ref().map(|dir| dir.join(path));
                below.legacy.iter_mut().for_each(|hierarchy| hierarchy.dir = hierarchy.dir.join(path));
            }
            Some(controllers) => {
                for controller in controllers {
                    let has = |names: &[String]| names.iter().any(|name| name == controller);
                    let hierarchy =
                        below.legacy.iter_mut().find(|hierarchy| has(hierarchy.controllers.as_slice()));
                    let hierarchy = hierarchy.ok_or_else(|| CgroupError::NoController {
                        field: "--cgroup".into(),
                        controller: (*controller).into(),
                    })?;
                    hierarchy.dir = hierarchy.dir.join(path);
                }
            }
        }
        Ok(below)
    }
}

/// None: `dir` takes processes, or the first process is not below it.
fn below_of_first(dir: &Path, pid: i32) -> Option<PathBuf> {
    if fs::read_to_string(dir.join("cgroup.subtree_control")).ok()?.trim().is_empty() {
        return None;
    }
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    // The name that /proc shows and the directory have the same end, wherever the hierarchy is mounted.
    let shortest_first = dir.ancestors().collect::<Vec<_>>().into_iter().rev();
    let below = shortest_first.map(|root| root.join(path)).find(|group| group.starts_with(dir))?;
    (below != dir).then_some(below)
}
