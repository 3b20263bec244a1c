//! Who makes a sandbox's group.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Spec};
use rustix::process::Pid;

use super::systemd::Named;
use super::{Cgroup, CgroupError, Layout, SystemdError};

/// Who makes a sandbox's group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// The runtime, in the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd, asked over D-Bus; the configuration's `linux.cgroupsPath` is then `slice:prefix:name`.
    Systemd,
    /// Nobody: the sandbox stays in the caller's group and has no limits.
    Disabled,
}

impl Cgroup {
    /// Names the group of the sandbox `id`: that of the configuration's `linux.cgroupsPath`, else `gaufre/ID` or, with
    /// systemd, `gaufre-ID.scope`. Nothing is made.
    ///
    /// # Errors
    /// See [`Cgroup::at`]; with systemd a path of another form, or a host whose controllers are on cgroup v1.
    pub fn managed(manager: CgroupManager, id: &str, spec: &Spec) -> Result<Self, CgroupError> {
        let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
        let path = path.filter(|path| !path.as_os_str().is_empty());
        match manager {
            CgroupManager::Cgroupfs => path.map_or_else(|| Self::at(&Path::new("gaufre").join(id)), Self::at),
            CgroupManager::Systemd => {
                let root = match Layout::detect()? {
                    Layout::V2 => PathBuf::from(super::layout::ROOT),
                    Layout::V1 { .. } => return Err(SystemdError::NotV2.into()),
                };
                let Named { scope, group } = Named::new(path, id)?;
                let scope =
                    scope.with_annotations(spec.annotations().as_ref().unwrap_or(&Default::default()))?;
                let unified = Some(root.join(&group));
                Ok(Self { name: group, unified, legacy: Vec::new(), scope: Some(scope), owner: None })
            }
            CgroupManager::Disabled => Ok(Self::none()),
        }
    }

    /// No group: processes stay where their maker is.
    pub fn none() -> Self {
        Self { name: PathBuf::new(), unified: None, legacy: Vec::new(), scope: None, owner: None }
    }

    /// Takes a new process in where only the manager can do so, with limits: for a scope of systemd, which is made
    /// around its first process. That process waits meanwhile ([`super::Entrance::awaits`]).
    pub(crate) fn admit(&self, pid: Pid, resources: Option<&LinuxResources>) -> Result<(), CgroupError> {
        let (Some(scope), Some(dir)) = (&self.scope, &self.unified) else { return Ok(()) };
        scope.start(pid.as_raw_nonzero().get().unsigned_abs(), dir, resources)?;
        self.mark();
        resources.map_or(Ok(()), |resources| self.apply(resources, false))
    }
}
