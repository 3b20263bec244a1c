//! The OCI runtime as a library: from a bundle to a sandbox.
//!
//! [`create`] makes a sandbox from a configuration ([`oci_spec::runtime::Spec`]) and a root file system: namespaces,
//! cgroup, mounts, devices, terminal. Its first process then waits, already under the workload's identity, until
//! [`Created::start`] executes the workload. [`exec`] runs another process in it. A sandbox is its process (by pidfd)
//! and its [`cgroup::Cgroup`]; nothing has to stay running for it.
//!
//! The calling process must have no other threads: clone3(2) copies only the calling one, and the copy goes on with
//! ordinary code. The `gaufre-oci` binary is a thin face on this library.
//!
//! ```
//! // The configuration that `gaufre-oci spec` writes; an engine builds its own from the same pieces.
//! let mut spec = gaufre_runtime::spec::default_spec();
//! spec.set_hostname(Some("waffle".to_owned()));
//! let cgroup = gaufre_runtime::cgroup_of("example", &spec, Default::default())?;
//! assert_eq!(cgroup.name(), std::path::Path::new("gaufre/example"));
//! # Ok::<(), gaufre_runtime::cgroup::CgroupError>(())
//! ```
//!
//! Running it (as root):
//!
//! ```no_run
//! use gaufre_runtime::{CreateOptions, CreateRequest, Rootfs, Stdio, create, wait};
//! use std::os::fd::AsFd;
//!
//! let spec = gaufre_runtime::spec::default_spec();
//! let created = create(CreateRequest {
//!     id: "example",
//!     spec: &spec,
//!     bundle: std::path::Path::new("/bundle"),
//!     rootfs: Rootfs::Path,
//!     stdio: Stdio::inherit(),
//!     preserve_fds: &[],
//!     start_socket: None,
//!     options: CreateOptions::default(),
//! })?;
//! let running = created.start()?;
//! let exit = wait(running.pidfd.as_fd())?;
//! running.cgroup.delete()?;
//! std::process::exit(exit.code().into());
//! # #[allow(unreachable_code)]
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod birth;
pub mod cgroup;
mod create;
mod exec;
mod features;
mod fork;
mod gate;
mod hidden;
pub mod hooks;
mod init;
mod labels;
pub mod landlock;
mod namespaces;
mod net_devices;
mod parts;
mod process;
mod procfs;
mod rootfs;
mod seal;
pub mod seccomp;
pub mod signals;
pub mod spec;
mod start;
pub mod state;
mod step;
mod sys;
mod sysctl;
mod threads;
mod wait;

pub use create::{
    CreateError, CreateOptions, CreateRequest, Rootfs, cgroup_of, create, create_meanwhile, create_noting,
};
pub use exec::{ExecCreated, ExecError, ExecProcess, ExecRequest, exec, prepare_exec};
pub use features::features;
pub use fork::fork_keeping;
pub use process::capabilities::available_capabilities;
pub use process::plan::ProcessError;
pub use process::stdio::{Stdio, Streams};
pub use seal::{run_sealed, sealed_exe};
pub use start::{Created, Running, StartError, start_at, start_socket};
pub use step::StepError;
pub use wait::{Exit, kill, wait};

/// A copy of a descriptor that this process inherited under an agreed number (`--preserve-fds`, `LISTEN_FDS`).
///
/// # Errors
/// Nothing is open under that number.
pub fn inherited_fd(number: i32) -> std::io::Result<std::os::fd::OwnedFd> {
    sys::fds::inherited(number).map_err(Into::into)
}
