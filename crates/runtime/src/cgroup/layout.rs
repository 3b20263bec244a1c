//! Which cgroup hierarchies this host has: v2 alone, v1 alone, or hybrid (v1 controllers beside an empty v2).

use std::fs;
use std::path::{Path, PathBuf};

use super::CgroupError;

pub(super) const ROOT: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// The hierarchies of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All controllers on cgroup v2.
    V2,
    /// Controllers on v1.
    V1 {
        /// Each v1 hierarchy's controllers (a named one's as `name=systemd`) and root directory.
        hierarchies: Vec<(Vec<String>, PathBuf)>,
        /// The v2 hierarchy beside them, on a hybrid host.
        unified: Option<PathBuf>,
    },
}

impl Layout {
    /// Looks at /sys/fs/cgroup: its file system tells v2; else /proc/self/cgroup lists the v1 hierarchies.
    ///
    /// # Errors
    /// There is no cgroup file system.
    pub fn detect() -> Result<Self, CgroupError> {
        if is_v2(Path::new(ROOT)) {
            return Ok(Self::V2);
        }
        let list =
            fs::read_to_string("/proc/self/cgroup").map_err(|source| CgroupError::NoHierarchy { source })?;
        let hierarchies: Vec<_> = list.lines().filter_map(hierarchy).collect();
        let unified = PathBuf::from(ROOT).join("unified");
        let unified = is_v2(&unified).then_some(unified);
        if hierarchies.is_empty() && unified.is_none() {
            return Err(CgroupError::NoHierarchy { source: std::io::ErrorKind::NotFound.into() });
        }
        Ok(Self::V1 { hierarchies, unified })
    }

    /// The root of the v2 hierarchy, where there is one.
    pub(super) fn unified(&self) -> Option<&Path> {
        match self {
            Self::V2 => Some(Path::new(ROOT)),
            Self::V1 { unified, .. } => unified.as_deref(),
        }
    }

    /// The v1 hierarchies.
    pub(super) fn legacy(&self) -> impl Iterator<Item = (&[String], &Path)> {
        let hierarchies = match self {
            Self::V2 => &[][..],
            Self::V1 { hierarchies, .. } => hierarchies,
        };
        hierarchies.iter().map(|(controllers, root)| (controllers.as_slice(), root.as_path()))
    }
}

/// Below which group of the hierarchies the caller may make groups: the root (an empty path) for root; the caller's own
/// in the v2 hierarchy where that was given to it (delegated), or one above that was as well and can pass controllers on;
/// None where it may nowhere.
pub(super) fn writable_base(layout: &Layout) -> Option<PathBuf> {
    let writable = |dir: &Path| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok();
    let legacy_root = layout.legacy().map(|(_, root)| root).next();
    if legacy_root.or(layout.unified()).is_some_and(writable) {
        return Some(PathBuf::new());
    }
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = Path::new(groups.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let root = layout.unified()?;
    let delegated =
        |group: &Path| writable(&root.join(group)) && writable(&root.join(group).join("cgroup.procs"));
    if own.as_os_str().is_empty() || !delegated(own) {
        return None;
    }
    // A group with processes, as the own one is, has none of its controllers below it: cgroups(7), "no internal processes".
    let above = own.ancestors().skip(1).take_while(|group| !group.as_os_str().is_empty() && delegated(group));
    let may_pass_on = |dir: &Path| writable(&dir.join("cgroup.subtree_control")) && passes_on(dir);
    let mut passing_on = above.filter(|group| may_pass_on(&root.join(group)));
    Some(passing_on.next().unwrap_or(own).to_owned())
}

/// Whether groups below `dir` can have controllers that it has itself.
fn passes_on(dir: &Path) -> bool {
    let is_empty = |file| fs::read_to_string(dir.join(file)).is_ok_and(|text| text.trim().is_empty());
    !is_empty("cgroup.controllers") && is_empty("cgroup.procs")
}

/// One line of /proc/self/cgroup, `9:cpu,cpuacct:/path`, where that hierarchy is mounted in the usual place.
fn hierarchy(line: &str) -> Option<(Vec<String>, PathBuf)> {
    let mut fields = line.splitn(3, ':');
    let names = fields.nth(1).filter(|names| !names.is_empty())?;
    let root = PathBuf::from(ROOT).join(names.strip_prefix("name=").unwrap_or(names));
    root.is_dir().then(|| (names.split(',').map(str::to_owned).collect(), root))
}

fn is_v2(dir: &Path) -> bool {
    rustix::fs::statfs(dir).is_ok_and(|fs| fs.f_type == CGROUP2_MAGIC)
}
