//! What `gaufre demo` needs that only the engine can make: an image of the running program, and a registry that
//! serves it on loopback.
//!
//! The registry is a process of its own. It says its port on standard output and lives as long as its standard input
//! is held open, so that it never outlives the demo, however that ends.

use gaufre_image::Platform;
use gaufre_image::build::{BuildError, ImageBuilder};
use gaufre_image::serve::RegistryServer;
use oci_spec::image::ConfigBuilder;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

/// The image's repository in the demo's registry.
pub const REPOSITORY: &str = "gaufre/demo";
/// Its tag.
pub const TAG: &str = "latest";
/// The hidden verb that the image runs: a small HTTP server.
pub const WORKLOAD_VERB: &str = "__demo-workload";
/// Where the program lies in the image.
pub const PROGRAM: &str = "/gaufre";
/// The port that the workload listens on inside, TCP.
pub const PORT: u16 = 80;

/// The demo's registry cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum DemoRegistryError {
    /// No image can be made of the running program.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The image has no config that the specification knows.
    #[error("cannot write the image's config")]
    Config(#[from] oci_spec::OciSpecError),
    /// No port of loopback.
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// Nobody to tell the port.
    #[error("cannot tell the port")]
    Tell(#[source] io::Error),
}

impl crate::Failure for DemoRegistryError {}

/// Serves an image of the running program on a free port of 127.0.0.1, which is written to standard output in
/// decimal with a newline. Returns when standard input ends.
///
/// # Errors
/// See [`DemoRegistryError`].
pub fn serve_registry() -> Result<(), DemoRegistryError> {
    let config = ConfigBuilder::default()
        .entrypoint(vec![PROGRAM.to_owned(), WORKLOAD_VERB.to_owned()])
        .exposed_ports(vec![format!("{PORT}/tcp")])
        .working_dir("/")
        .build()?;
    // The kernel's own name for the program: also right when its file has been replaced meanwhile.
    let image = ImageBuilder::new(Platform::host())
        .host_file(PROGRAM, 0o755, Path::new("/proc/self/exe"))
        .config(config)
        .build()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DemoRegistryError::Listen)?;
    let port = listener.local_addr().map_err(DemoRegistryError::Listen)?.port();
    let server = RegistryServer::new().with_image(REPOSITORY, TAG, &image);
    std::thread::spawn(move || server.serve(&listener));
    writeln!(io::stdout(), "{port}").map_err(DemoRegistryError::Tell)?;
    // Whatever ends it, the demo does not need the registry any more.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}
