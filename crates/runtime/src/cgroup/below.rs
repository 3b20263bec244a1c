//! Groups that a container made below its own.

use std::path::{Component, Path};

use super::{Cgroup, CgroupError};

impl Cgroup {
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
