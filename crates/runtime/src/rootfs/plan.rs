//! What to mount, decided on the host before the sandbox's process exists: a mistake in the configuration or a
//! missing source is found before anything was made.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::bind::{DetachedBind, clone_source};
use super::options::{MountOptions, parse};
use super::root::Links;
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
}

/// Where the content of a mount comes from.
#[derive(Debug)]
pub(crate) enum MountSource {
    /// A clone of a mount of the host.
    Bind(DetachedBind),
    /// A new instance of a file system, made inside the sandbox's namespaces.
    FileSystem {
        /// Its type, as in /proc/filesystems.
        kind: String,
        /// Its source, for those that have one.
        source: Option<PathBuf>,
    },
    /// The sandbox's own view of the cgroups, whichever version the host has.
    Cgroups,
}

impl MountPlan {
    /// Prepares one mount of the configuration; a relative bind source is within `bundle`.
    pub(crate) fn new(mount: &Mount, bundle: &Path) -> Result<Self, StepError> {
        let destination = mount.destination().clone();
        let name = destination.display();
        let words = mount.options().iter().flatten().map(String::as_str);
        let options = parse(words).map_err(|word| {
            StepError::rule(format!("the option {word} of the mount at {name} is not supported"))
        })?;
        let kind = mount.typ().as_deref().unwrap_or_default();
        let source = match kind {
            _ if options.bind.is_some() || kind == "bind" => {
                if let Some((key, _)) = options.data.first() {
                    return Err(StepError::rule(format!("the bind mount at {name} has no option {key}")));
                }
                let source = mount.source().as_deref();
                let source = source
                    .ok_or_else(|| StepError::rule(format!("the bind mount at {name} has no source")))?;
                MountSource::Bind(clone_source(&bundle.join(source), &options)?)
            }
            "cgroup" | "cgroup2" => MountSource::Cgroups,
            "" => return Err(StepError::rule(format!("the mount at {name} has no type"))),
            kind => MountSource::FileSystem { kind: kind.to_owned(), source: mount.source().clone() },
        };
        Ok(Self { destination, source, options })
    }

    /// Whether the way to the destination may lead through symbolic links of the image.
    pub(crate) fn links(&self) -> Links {
        let kernel_fs = match &self.source {
            MountSource::FileSystem { kind, .. } => {
                matches!(kind.as_str(), "proc" | "sysfs" | "mqueue" | "devpts")
            }
            MountSource::Cgroups => true,
            MountSource::Bind(_) => false,
        };
        let special = ["/proc", "/sys", "/dev"].iter().any(|path| self.destination == Path::new(path));
        if kernel_fs || special { Links::Refused } else { Links::Within }
    }
}
