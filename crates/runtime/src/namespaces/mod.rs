//! The sandbox's namespaces: new ones by clone3, existing ones by setns on descriptors opened beforehand.

mod born;
pub(crate) mod id_map;
mod id_view;
mod open;
mod time;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxNamespaceType};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space};

pub(crate) use born::{BornInto, Target};
pub(crate) use id_map::IdMaps;
pub(crate) use id_view::IdView;
pub(crate) use time::TimePlan;

use crate::step::{Step, StepError};

/// What the configuration says about namespaces. Those that it does not name stay the runtime's own.
#[derive(Debug, Default)]
pub(crate) struct NamespacePlan {
    /// `CLONE_NEW*` of new ones, but for the cgroup and the time namespace.
    pub(crate) clone_flags: u64,
    /// A new cgroup namespace: made by the process itself, once it is in its group, which becomes the root of it.
    pub(crate) new_cgroup: bool,
    /// A new time namespace: made by the process itself, which sets its clocks before it enters.
    pub(crate) new_time: Option<TimePlan>,
    /// The maps of a new user namespace, or what the configuration says of one that is joined.
    pub(crate) maps: Option<IdMaps>,
    /// A PID namespace to be born into.
    pub(crate) pid: Option<OwnedFd>,
    /// Others to join.
    joined: Vec<Joined>,
    /// Whether the host's own is used, by type, for rules that depend on it.
    own: Vec<LinuxNamespaceType>,
}

#[derive(Debug)]
struct Joined {
    kind: LinuxNamespaceType,
    fd: OwnedFd,
    path: PathBuf,
}

impl NamespacePlan {
    /// Checks the list and opens the namespaces to be joined.
    pub(crate) fn new(linux: &Linux) -> Result<Self, StepError> {
        use LinuxNamespaceType as T;
        let (uid, gid) = (linux.uid_mappings().as_deref(), linux.gid_mappings().as_deref());
        let mut plan = Self { maps: IdMaps::new("linux", uid, gid)?, ..Self::default() };
        for namespace in linux.namespaces().iter().flatten() {
            let kind = namespace.typ();
            if plan.own.contains(&kind) {
                return Err(StepError::rule(format!("linux.namespaces names {} twice", name(kind))));
            }
            plan.own.push(kind);
            let path = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty());
            match (kind, path) {
                (T::Cgroup, None) => plan.new_cgroup = true,
                (T::Time, None) => plan.new_time = Some(TimePlan::new(linux.time_offsets().as_ref())?),
                (T::Pid, Some(path)) => plan.pid = Some(open::open(path, kind)?),
                (kind, None) => plan.clone_flags |= u64::from(kind as u32),
                (kind, Some(path)) => {
                    plan.joined.push(Joined { kind, fd: open::open(path, kind)?, path: path.clone() });
                }
            }
        }
        plan.check(linux)?;
        Ok(plan)
    }

    fn check(&self, linux: &Linux) -> Result<(), StepError> {
        use LinuxNamespaceType as T;
        if self.has(T::User) && !self.has(T::Mount) {
            return Err(StepError::rule(
                "linux.namespaces must have a mount namespace with the user namespace",
            ));
        }
        match (self.makes(T::User), self.has(T::User), &self.maps) {
            (true, _, None) => Err(StepError::rule(
                "linux.uidMappings and gidMappings are missing for the new user namespace",
            )),
            (_, false, Some(_)) => Err(StepError::rule("linux.uidMappings needs a user namespace")),
            _ => Ok(()),
        }?;
        if self.new_time.is_none() && linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty())
        {
            return Err(StepError::rule("linux.timeOffsets needs a new time namespace"));
        }
        Ok(())
    }

    /// Whether the sandbox has its own namespace of this type, new or joined, rather than the runtime's.
    pub(crate) fn has(&self, kind: LinuxNamespaceType) -> bool {
        self.own.contains(&kind)
    }

    /// Whether clone3 makes a new namespace of this type.
    pub(crate) fn makes(&self, kind: LinuxNamespaceType) -> bool {
        self.clone_flags & u64::from(kind as u32) != 0
    }

    /// Whether a namespace of this type is joined by path, a PID namespace aside.
    pub(crate) fn joins(&self, kind: LinuxNamespaceType) -> bool {
        self.joined(kind).is_some()
    }

    /// The namespace of this type that is joined by path, a PID namespace aside.
    pub(crate) fn joined(&self, kind: LinuxNamespaceType) -> Option<BorrowedFd<'_>> {
        self.joined.iter().find(|joined| joined.kind == kind).map(|joined| joined.fd.as_fd())
    }

    /// Whether a process in the middle has to join before the sandbox's own process is born. It owns what it makes
    /// only if it is born in its user namespace; and from a new user namespace no other one of the host can be joined.
    pub(crate) fn joins_before_birth(&self) -> bool {
        use LinuxNamespaceType as T;
        self.joins(T::User) || (self.makes(T::User) && !self.joined.is_empty())
    }

    /// Enters the namespaces to be joined.
    ///
    /// A privileged process may enter those of the host only before the user namespace, an unprivileged one those of
    /// the user namespace only after it: so first what can be, then the user namespace, then the rest. A mount
    /// namespace is the last in both, for it changes what paths mean.
    pub(crate) fn join(&self) -> Result<(), StepError> {
        use LinuxNamespaceType as T;
        let mut later = Vec::new();
        let (mount, others): (Vec<_>, Vec<_>) =
            self.joined.iter().partition(|joined| joined.kind == T::Mount);
        let (user, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|joined| joined.kind == T::User);
        for joined in others.into_iter().chain(mount) {
            match joined.enter() {
                Err(Errno::PERM) if !user.is_empty() => later.push(joined),
                entered => entered.step(|| joined.failure())?,
            }
        }
        for joined in user.into_iter().chain(later) {
            joined.enter().step(|| joined.failure())?;
        }
        Ok(())
    }
}

impl Joined {
    fn enter(&self) -> rustix::io::Result<()> {
        move_into_link_name_space(self.fd.as_fd(), Some(link_kind(self.kind)))
    }

    fn failure(&self) -> String {
        format!("could not join the {} namespace {}", name(self.kind), self.path.display())
    }
}

/// The word of the configuration for a type.
fn name(kind: LinuxNamespaceType) -> &'static str {
    use LinuxNamespaceType as T;
    match kind {
        T::Mount => "mount",
        T::Cgroup => "cgroup",
        T::Uts => "uts",
        T::Ipc => "ipc",
        T::User => "user",
        T::Pid => "pid",
        T::Network => "network",
        T::Time => "time",
    }
}

fn link_kind(kind: LinuxNamespaceType) -> LinkNameSpaceType {
    use LinuxNamespaceType as T;
    match kind {
        T::Mount => LinkNameSpaceType::Mount,
        T::Cgroup => LinkNameSpaceType::ControlGroup,
        T::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        T::Ipc => LinkNameSpaceType::InterProcessCommunication,
        T::User => LinkNameSpaceType::User,
        T::Pid => LinkNameSpaceType::ProcessID,
        T::Network => LinkNameSpaceType::Network,
        T::Time => LinkNameSpaceType::Time,
    }
}

/// Does something in the network namespace `netns` and comes back.
pub(crate) fn within_network<T>(netns: BorrowedFd<'_>, act: impl FnOnce() -> T) -> rustix::io::Result<T> {
    use rustix::fs::{Mode, OFlags};
    let own = rustix::fs::open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let enter = |netns| move_into_link_name_space(netns, Some(LinkNameSpaceType::Network));
    enter(netns)?;
    let result = act();
    // Who could enter can go home.
    enter(own.as_fd())?;
    Ok(result)
}

/// Enters namespaces of the process behind a pidfd, all or none: setns(2) on a pidfd, Linux 5.8.
pub(crate) fn move_into_process(pidfd: BorrowedFd<'_>, kinds: ThreadNameSpaceType) -> rustix::io::Result<()> {
    rustix::thread::move_into_thread_name_spaces(pidfd, kinds)
}
