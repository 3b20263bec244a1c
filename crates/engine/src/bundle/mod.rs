//! From a definition to an OCI bundle: the `config.json` that the runtime is handed.

mod copy_up;
mod devices;
mod files;
mod mounts;
mod process;
mod resources;
mod security;
mod user;

pub(crate) use files::{NetworkFiles, write_network_files};
pub use mounts::MountError;
pub(crate) use process::environment;
pub(crate) use security::{capabilities, compile_usual_seccomp};
pub use user::UserError;
pub(crate) use user::resolve as resolve_user;

use crate::failure::Failure;
use crate::sandbox::{Definition, RecordError, Sandbox, SandboxId, private_dir, replace_json};
use crate::settings::NetworkMode;
use gaufre_store::Store;
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, RootBuilder, Spec, SpecBuilder,
};
use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// The group that is the parent of every sandbox's.
pub(crate) const CGROUP_PARENT: &str = "gaufre";

/// The cgroup of a sandbox, below the root of each hierarchy.
pub(crate) fn cgroup_path(id: &SandboxId) -> PathBuf {
    Path::new("/").join(CGROUP_PARENT).join(id.as_str())
}

/// A bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The user is not to be found.
    #[error(transparent)]
    User(#[from] UserError),
    /// A mount is impossible.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// A device is impossible.
    #[error("cannot add the device {}", path.display())]
    Device {
        /// The device on the host.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A seccomp profile is unreadable.
    #[error("cannot use the seccomp profile {}", path.display())]
    Seccomp {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What was asked for has no form in the specification.
    #[error("cannot put the container's settings into a bundle")]
    Spec(#[from] OciSpecError),
    /// The bundle's directory cannot be made.
    #[error("cannot create {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The bundle cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Failure for BundleError {
    fn exit_code(&self) -> u8 {
        if let Self::User(_) = self { 126 } else { 125 }
    }
}

/// Makes the bundle of `sandbox`, whose root filesystem is behind `rootfs`. `netns` is the network
/// namespace to be in, if it is not the host's, which this process has to keep open until the sandbox is created.
pub(crate) fn make(
    store: &Store,
    sandbox: &Sandbox,
    rootfs: BorrowedFd<'_>,
    netns: Option<BorrowedFd<'_>>,
) -> Result<Spec, BundleError> {
    let definition = &sandbox.definition;
    let settings = &definition.settings;
    let user = user::resolve(rootfs, definition.process.user.as_deref(), &settings.groups)?;
    let mut linux = LinuxBuilder::default()
        .cgroups_path(cgroup_path(sandbox.id()))
        .namespaces(namespaces(netns)?)
        .resources(resources::resources(settings, &devices::rules(settings)?)?)
        .devices(devices::devices(settings)?)
        .masked_paths(security::masked_paths(settings))
        .readonly_paths(security::readonly_paths(settings))
        .build()?;
    linux.set_seccomp(security::seccomp(settings)?);
    let sysctls: HashMap<_, _> = settings.sysctls.clone().into_iter().collect();
    linux.set_sysctl(Some(sysctls).filter(|sysctls| !sysctls.is_empty()));
    let mut spec = SpecBuilder::default()
        .version("1.2.0")
        .root(RootBuilder::default().path("rootfs").readonly(settings.read_only).build()?)
        .hostname(hostname_of(definition))
        .process(process::process(definition, &user)?)
        .mounts(mounts::mounts(store, sandbox)?)
        .annotations(settings.annotations.clone().into_iter().collect::<HashMap<_, _>>())
        .linux(linux)
        .build()?;
    if settings.network == NetworkMode::Host {
        // The UTS namespace is the host's too, and so is its name.
        spec.set_hostname(None);
    }
    let bundle = sandbox.bundle();
    private_dir(&bundle).map_err(|source| BundleError::Directory { path: bundle.clone(), source })?;
    replace_json(&bundle.join("config.json"), &spec, false)?;
    Ok(spec)
}

/// The host name inside: the one asked for, or the short ID.
pub(crate) fn hostname_of(definition: &Definition) -> String {
    definition.settings.hostname.clone().unwrap_or_else(|| definition.id.short().to_owned())
}

fn namespaces(netns: Option<BorrowedFd<'_>>) -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let new = |typ| LinuxNamespaceBuilder::default().typ(typ).build();
    let mut namespaces = vec![
        new(LinuxNamespaceType::Pid)?,
        new(LinuxNamespaceType::Mount)?,
        new(LinuxNamespaceType::Ipc)?,
        new(LinuxNamespaceType::Cgroup)?,
    ];
    if let Some(netns) = netns {
        namespaces.push(new(LinuxNamespaceType::Uts)?);
        // Not by the number of a process in it, which may come to mean another.
        let path = format!("/proc/self/fd/{}", netns.as_raw_fd());
        let network = LinuxNamespaceBuilder::default().typ(LinuxNamespaceType::Network).path(path);
        namespaces.push(network.build()?);
    }
    Ok(namespaces)
}
