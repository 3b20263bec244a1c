//! What to mount, decided on the host before the sandbox's process exists: a mistake in the configuration or a
//! missing source is found before anything was made.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::bind::BindSource;
use super::options::{MountOptions, parse};
use super::root::Links;
use crate::labels::mount_context;
use crate::namespaces::{IdMaps, IdView};
use crate::step::StepError;

/// One mount, ready to be made.
#[derive(Debug)]
pub(crate) struct MountPlan {
    /// Where, inside the root.
    pub(crate) destination: PathBuf,
    /// What.
    pub(crate) source: MountSource,
    /// How.
    pub(crate) options: MountOptions,
    /// The user namespace whose IDs the mount shows.
    pub(crate) ids: Option<OwnedFd>,
}

/// Where the content of a mount comes from.
#[derive(Debug)]
pub(crate) enum MountSource {
    /// A file or directory of the host, to be cloned by the runtime when its turn comes.
    Bind(BindSource),
    /// A file or directory of the host, to be cloned by the sandbox's process.
    BindLater(PathBuf),
    /// A new instance of a file system, made inside the sandbox's namespaces.
    FileSystem {
        /// Its type, as in /proc/filesystems.
        kind: String,
        /// Its source, for those that have one.
        source: Option<PathBuf>,
    },
    /// The sandbox's own view of the cgroups, whichever version the host has.
    Cgroups,
    /// None: the mount that is at the destination is changed.
    Remount,
}

/// What the mounts of one sandbox have in common.
#[derive(Debug)]
pub(crate) struct Preparation<'a> {
    /// Relative sources are below it.
    pub(crate) bundle: &'a Path,
    /// Sources are cloned by the sandbox's process.
    pub(crate) later: bool,
    /// The maps of the sandbox's user namespace.
    pub(crate) maps: Option<&'a IdMaps>,
    /// The host's procfs.
    pub(crate) proc: &'a OwnedFd,
    /// User namespaces of idmapped mounts.
    pub(crate) ids: IdView,
    /// `linux.mountLabel`, where SELinux is on.
    pub(crate) label: Option<&'a str>,
}

impl MountPlan {
    /// Prepares one mount of the configuration.
    pub(crate) fn new(mount: &Mount, shared: &mut Preparation<'_>) -> Result<Self, StepError> {
        let destination = mount.destination().clone();
        let name = destination.display();
        let words = mount.options().iter().flatten().map(String::as_str);
        let mut options = parse(words).map_err(|word| {
            StepError::rule(format!("the option {word} of the mount at {name} is not supported"))
        })?;
        let kind = mount.typ().as_deref().unwrap_or_default();
        let ids = mapped_ids(mount, &mut options, shared)?;
        let source = match kind {
            _ if options.remount => MountSource::Remount,
            _ if options.bind.is_some() || kind == "bind" => {
                drop_options_of_new(&mut options, &destination)?;
                let source = mount.source().as_deref();
                let source = source
                    .ok_or_else(|| StepError::rule(format!("the bind mount at {name} has no source")))?;
                let source = shared.bundle.join(source);
                if shared.later {
                    MountSource::BindLater(source)
                } else {
                    MountSource::Bind(BindSource::open(source)?)
                }
            }
            "cgroup" | "cgroup2" => MountSource::Cgroups,
            "" => return Err(StepError::rule(format!("the mount at {name} has no type"))),
            kind => {
                options.data.extend(shared.label.and_then(|label| mount_context(kind, label)));
                MountSource::FileSystem { kind: kind.to_owned(), source: mount.source().clone() }
            }
        };
        if options.copy_up && !matches!(&source, MountSource::FileSystem { kind, .. } if kind == "tmpfs") {
            return Err(StepError::rule(format!(
                "the option tmpcopyup of the mount at {name} is for a tmpfs only"
            )));
        }
        Ok(Self { destination, source, options, ids })
    }

    /// Opens a source that was left for the sandbox's process; gives its clone, which no one else makes.
    pub(crate) fn open_own(&mut self) -> Result<Option<OwnedFd>, StepError> {
        let MountSource::BindLater(path) = &self.source else { return Ok(None) };
        let source = BindSource::open(path.clone())?;
        let tree = source.cloned(&self.options, self.ids.as_ref().map(AsFd::as_fd))?;
        self.source = MountSource::Bind(source);
        Ok(Some(tree))
    }

    /// Whether the way to the destination may lead through symbolic links of the image.
    pub(crate) fn links(&self) -> Links {
        let kernel_fs = match &self.source {
            MountSource::FileSystem { kind, .. } => {
                matches!(kind.as_str(), "proc" | "sysfs" | "mqueue" | "devpts")
            }
            MountSource::Cgroups | MountSource::Remount => true,
            MountSource::Bind(_) | MountSource::BindLater(_) => false,
        };
        let special = ["/proc", "/sys", "/dev"].iter().any(|path| self.destination == Path::new(path));
        if kernel_fs || special { Links::Refused } else { Links::Within }
    }
}

/// A bind mount shows what is there, as big as it is. What tmpfs(5) knows is left out with a warning, as the kernel
/// leaves it out of mount(2): configurations give all mounts the same options. Everything else is refused.
fn drop_options_of_new(options: &mut MountOptions, destination: &Path) -> Result<(), StepError> {
    const OF_TMPFS: [&str; 8] = ["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol"];
    for (key, _) in std::mem::take(&mut options.data) {
        let name = destination.display();
        if !OF_TMPFS.contains(&key.as_str()) {
            return Err(StepError::rule(format!("the bind mount at {name} has no option {key}")));
        }
        tracing::warn!(
            "the option {key} of the bind mount at {name} is left out: it is for a new file system"
        );
    }
    Ok(())
}

/// The user namespace of an idmapped mount: config.md, "Mounts", `uidMappings` and the options idmap and ridmap.
fn mapped_ids(
    mount: &Mount,
    options: &mut MountOptions,
    shared: &mut Preparation<'_>,
) -> Result<Option<OwnedFd>, StepError> {
    let name = mount.destination().display();
    let owner = format!("the mount at {name}");
    let (uid, gid) = (mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref());
    let own = IdMaps::new(&owner, uid, gid)?;
    let maps = match (&own, options.idmap, shared.maps) {
        (None, None, _) => return Ok(None),
        (Some(own), _, _) => own,
        (None, Some(_), Some(container)) => container,
        (None, Some(_), None) => {
            return Err(StepError::rule(format!(
                "{owner} is to map ids, but neither it nor the container's user namespace says how"
            )));
        }
    };
    options.idmap = options.idmap.or(Some(false));
    shared.ids.of(maps, shared.proc.as_fd()).map(Some)
}
