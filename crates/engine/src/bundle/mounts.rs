//! What is mounted into a sandbox.

use super::BundleError;
use super::copy_up::copy_up;
use crate::sandbox::{Mount as Wanted, MountSource, Sandbox};
use crate::settings::NetworkMode;
use gaufre_runtime::spec::default_mounts;
use gaufre_store::{RootfsRequest, Store};
use oci_spec::OciSpecError;
use oci_spec::runtime::{Mount, MountBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Where `--init` puts our own binary in the sandbox.
pub(super) const INIT_PATH: &str = "/run/gaufre-init";

/// A mount is impossible.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// What to mount is not there.
    #[error("cannot mount {} at {}: it does not exist on this host", source_path.display(), destination.display())]
    NoSource {
        /// The file or directory.
        source_path: PathBuf,
        /// Where it was to appear.
        destination: PathBuf,
    },
    /// A volume cannot be had.
    #[error("cannot use the volume {name:?}")]
    Volume {
        /// Which.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A fresh volume cannot be filled with the image's content.
    #[error("cannot copy {} of the image into the volume {name:?}", destination.display())]
    CopyUp {
        /// Which.
        name: String,
        /// What.
        destination: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// All mounts, in the order in which they are made: a parent before what lies below it.
pub(super) fn mounts(store: &Store, sandbox: &Sandbox) -> Result<Vec<Mount>, BundleError> {
    let settings = &sandbox.definition.settings;
    let mut mounts = default_mounts(settings.shm_size_bytes);
    for mount in &mut mounts {
        adapt(mount, settings);
    }
    if settings.network == NetworkMode::Host {
        // A sysfs of one's own needs a network namespace of one's own: the host's is shown, read-only.
        mounts.retain(|mount| mount.destination() != Path::new("/sys"));
        mounts.push(bind("/sys", "/sys", &["rbind", "rslave", "ro", "nosuid", "noexec", "nodev"])?);
    }
    let overlaid =
        |path: &str| sandbox.definition.mounts.iter().any(|mount| mount.destination == Path::new(path));
    for name in ["hosts", "resolv.conf", "hostname"] {
        let inside = format!("/etc/{name}");
        if !overlaid(&inside) {
            let file = sandbox.directory().join("files").join(name);
            mounts.push(bind(&file, &inside, &["bind", "rw", "nosuid", "nodev", "noexec", "private"])?);
        }
    }
    if settings.init {
        // The keeper is started under the name of the file that it was made from.
        let exe = std::env::args_os().next().unwrap_or_default();
        mounts.push(bind(PathBuf::from(exe), INIT_PATH, &["bind", "ro", "nosuid", "nodev", "private"])?);
    }
    for wanted in &sandbox.definition.mounts {
        mounts.retain(|mount| *mount.destination() != wanted.destination);
        mounts.push(mount(store, sandbox, wanted)?);
    }
    // A stable sort: what was asked for later stays later among equals.
    mounts.sort_by_key(|mount| mount.destination().components().count());
    Ok(mounts)
}

/// What the settings change in a mount that every sandbox has.
fn adapt(mount: &mut Mount, settings: &crate::settings::Settings) {
    let mut options = mount.options().clone().unwrap_or_default();
    match mount.destination().to_str() {
        Some("/sys" | "/sys/fs/cgroup") if settings.privileged => {
            options.retain(|option| option != "ro");
            options.push("rw".to_owned());
        }
        _ => {}
    }
    mount.set_options(Some(options));
}

fn mount(store: &Store, sandbox: &Sandbox, wanted: &Wanted) -> Result<Mount, BundleError> {
    let options: Vec<&str> = wanted.options.iter().map(String::as_str).collect();
    match &wanted.source {
        MountSource::Tmpfs => Ok(MountBuilder::default()
            .destination(&wanted.destination)
            .typ("tmpfs")
            .source("tmpfs")
            .options(wanted.options.clone())
            .build()?),
        MountSource::Bind(source) => {
            if !source.exists() {
                return Err(MountError::NoSource {
                    source_path: source.clone(),
                    destination: wanted.destination.clone(),
                }
                .into());
            }
            Ok(bind(source, &wanted.destination, &options)?)
        }
        MountSource::Volume { name, anonymous, copy_up: wants_content } => {
            let volume = store
                .volumes()
                .get_or_create(name, *anonymous)
                .map_err(|source| MountError::Volume { name: name.clone(), source: source.into() })?;
            if *wants_content && !has_run(sandbox) {
                let image = || image(store, sandbox);
                copy_up(image, &wanted.destination, &volume.path).map_err(|source| MountError::CopyUp {
                    name: name.clone(),
                    destination: wanted.destination.clone(),
                    source,
                })?;
            }
            Ok(bind(&volume.path, &wanted.destination, &options)?)
        }
    }
}

/// Whether the workload has ever run: whoever runs again finds its volumes as it left them, be they empty.
fn has_run(sandbox: &Sandbox) -> bool {
    match sandbox.run() {
        Ok(run) => run.is_some_and(|run| run.exit.is_none_or(|exit| exit.error.is_none())),
        Err(_) => true,
    }
}

/// The root of the image itself: nothing that a workload has written is in it.
fn image(store: &Store, sandbox: &Sandbox) -> io::Result<OwnedFd> {
    let layers = &sandbox.definition.image.layers;
    store
        .mount_rootfs(&RootfsRequest { layers, sandbox_dir: None, volatile: false })
        .map_err(io::Error::other)
}

fn bind(
    source: impl AsRef<Path>,
    destination: impl AsRef<Path>,
    options: &[&str],
) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .destination(destination.as_ref())
        .typ("bind")
        .source(source.as_ref())
        .options(options.iter().map(ToString::to_string).collect::<Vec<_>>())
        .build()
}
