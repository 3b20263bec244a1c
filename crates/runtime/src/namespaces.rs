//! The sandbox's namespaces: new ones by clone3, existing ones by setns on descriptors opened beforehand.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space};

use crate::step::{Step, StepError};

/// `NSFS_MAGIC` of linux/magic.h.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// What the configuration says about namespaces. Those that it does not name stay the runtime's own.
#[derive(Debug, Default)]
pub(crate) struct NamespacePlan {
    /// `CLONE_NEW*` of new ones, but for the cgroup namespace.
    pub(crate) clone_flags: u64,
    /// A new cgroup namespace: made by the process itself, once it is in its group, which becomes the root of it.
    pub(crate) new_cgroup: bool,
    /// A PID namespace to be born into.
    pub(crate) pid: Option<OwnedFd>,
    /// Others to join.
    joined: Vec<Joined>,
    /// Whether the host's own is used, by type, for rules that depend on it.
    own: Vec<LinuxNamespaceType>,
}

#[derive(Debug)]
struct Joined {
    kind: LinkNameSpaceType,
    fd: OwnedFd,
    path: PathBuf,
}

impl NamespacePlan {
    /// Checks the list and opens the namespaces to be joined.
    pub(crate) fn new(asked: &[LinuxNamespace]) -> Result<Self, StepError> {
        use LinuxNamespaceType as T;
        let mut plan = Self::default();
        for namespace in asked {
            let kind = namespace.typ();
            if plan.own.contains(&kind) {
                return Err(StepError::rule(format!("linux.namespaces names {kind:?} twice")));
            }
            plan.own.push(kind);
            match (kind, namespace.path()) {
                (T::User, _) => return Err(unsupported("a user namespace")),
                (T::Time, _) => return Err(unsupported("a time namespace")),
                (T::Mount, Some(_)) => return Err(unsupported("an existing mount namespace")),
                (T::Cgroup, None) => plan.new_cgroup = true,
                (T::Pid, Some(path)) => plan.pid = Some(open(path, LinkNameSpaceType::ProcessID)?),
                (kind, None) => plan.clone_flags |= u64::from(kind as u32),
                (kind, Some(path)) => {
                    let kind = link_kind(kind);
                    plan.joined.push(Joined { kind, fd: open(path, kind)?, path: path.clone() });
                }
            }
        }
        if plan.clone_flags & u64::from(T::Mount as u32) == 0 {
            return Err(StepError::rule("linux.namespaces must have a new mount namespace"));
        }
        Ok(plan)
    }

    /// Whether the sandbox has its own namespace of this type, new or joined, rather than the runtime's.
    pub(crate) fn has(&self, kind: LinuxNamespaceType) -> bool {
        self.own.contains(&kind)
    }

    /// Enters the namespaces to be joined; called in the new process.
    pub(crate) fn join(&self) -> Result<(), StepError> {
        for joined in &self.joined {
            move_into_link_name_space(joined.fd.as_fd(), Some(joined.kind))
                .step(|| format!("could not join the namespace {}", joined.path.display()))?;
        }
        Ok(())
    }
}

fn unsupported(what: &str) -> StepError {
    StepError::rule(format!("linux.namespaces: {what} is not supported"))
}

/// Opens a namespace and checks that it is one of the right type, by trying nothing that changes this process.
fn open(path: &Path, kind: LinkNameSpaceType) -> Result<OwnedFd, StepError> {
    let what = || format!("the namespace {} cannot be used", path.display());
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).step(what)?;
    if rustix::fs::fstatfs(&fd).step(what)?.f_type != NSFS_MAGIC {
        return Err(StepError::rule(format!("{} is not a namespace", path.display())));
    }
    let link =
        rustix::fs::readlink(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd)), Vec::new());
    let name = link.step(what)?;
    let wanted = match kind {
        LinkNameSpaceType::ProcessID => "pid:",
        LinkNameSpaceType::Network => "net:",
        LinkNameSpaceType::InterProcessCommunication => "ipc:",
        LinkNameSpaceType::HostNameAndNISDomainName => "uts:",
        LinkNameSpaceType::ControlGroup => "cgroup:",
        _ => "",
    };
    if !name.to_bytes().starts_with(wanted.as_bytes()) {
        return Err(StepError::rule(format!("{} is a namespace of another type", path.display())));
    }
    Ok(fd)
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

/// While it lives, children of this process are born into another PID namespace: setns(2) with a PID namespace moves
/// only the children. That saves the process in the middle that other runtimes need.
#[derive(Debug)]
pub(crate) struct BornInto {
    own: OwnedFd,
}

impl BornInto {
    /// From here on children are born into `target`: a namespace or, with its flag, the one of a pidfd's process.
    pub(crate) fn enter(target: &Target<'_>) -> Result<Self, StepError> {
        let what = || "could not join the PID namespace";
        let own = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .step(what)?;
        match target {
            Target::Namespace(fd) => {
                move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::ProcessID))
            }
            Target::Process(pidfd) => move_into_process(pidfd.as_fd(), ThreadNameSpaceType::PROCESS_ID),
        }
        .step(what)?;
        Ok(Self { own })
    }
}

impl Drop for BornInto {
    fn drop(&mut self) {
        // Our own namespace can always be entered again; if not, later children would be born in the wrong place,
        // and the next clone fails with the reason.
        if let Err(error) = move_into_link_name_space(self.own.as_fd(), Some(LinkNameSpaceType::ProcessID)) {
            tracing::error!(%error, "could not go back to the PID namespace for children");
        }
    }
}

/// A PID namespace, by its own descriptor or a process in it.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    Namespace(&'a OwnedFd),
    Process(std::os::fd::BorrowedFd<'a>),
}

/// Enters namespaces of the process behind a pidfd, all or none: setns(2) on a pidfd, Linux 5.8.
pub(crate) fn move_into_process(
    pidfd: std::os::fd::BorrowedFd<'_>,
    kinds: ThreadNameSpaceType,
) -> rustix::io::Result<()> {
    rustix::thread::move_into_thread_name_spaces(pidfd, kinds)
}
