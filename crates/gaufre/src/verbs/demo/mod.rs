//! `gaufre demo`: everything once, from a registry to a running, reachable container, and nothing of it left.

mod registry;
mod steps;
pub(crate) mod workload;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gaufre_engine::demo::{PORT, PROGRAM, REPOSITORY, TAG};
use gaufre_engine::settings::{CreateRequest, PullPolicy, RegistryAccess, Settings};
use gaufre_engine::{
    Engine, EngineOptions, ExecRequest, LogsOptions, PullRequest, RemoveOptions, StartOptions,
};

use crate::failure::{CliError, Result};
use crate::output::{self, si_size};
use registry::Registry;
use steps::Steps;

/// See gaufre at work, without network, images or anything installed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It serves an image of itself from a registry on 127.0.0.1, pulls it, runs it, talks \
to it over a published port, executes a command in it, reads its logs, stops and \
removes it. It uses a store of its own and leaves nothing.")]
pub(crate) struct Args {}

/// The hidden verb of the registry.
pub(crate) const REGISTRY_VERB: &str = "__demo-registry";

/// The container has this long to answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn execute(_: &Args) -> Result<u8> {
    let home = Home::create()?;
    let steps = Steps::begin()?;
    let engine = home.engine()?;
    output::line("gaufre demo: a registry, an image, a container, and nothing left of them.\n")?;
    let shown = show(&steps, &engine);
    // Whatever happened: away with all of it.
    let cleaned = home.remove(&engine);
    shown?;
    cleaned?;
    output::line(format_args!("\nAll of it worked, in {}, and nothing of it is left.", steps.total()))?;
    Ok(0)
}

fn show(steps: &Steps, engine: &Engine) -> Result<()> {
    let registry = steps.step(
        "make an image of this program and serve it",
        || Registry::start().map_err(|error| CliError::because("cannot start the registry", error)),
        |registry| format!(" on 127.0.0.1:{}", registry.port),
    )?;
    let image = format!("127.0.0.1:{}/{REPOSITORY}:{TAG}", registry.port);
    let access = RegistryAccess { tls_verify: Some(false), ..RegistryAccess::default() };
    let request = PullRequest {
        reference: image.clone(),
        platform: None,
        registry: access,
        policy: PullPolicy::Always,
    };
    let pulled =
        steps.step("pull it from the registry", || Ok(engine.pull(&request, &())?), |_| size(engine))?;
    drop(registry);

    let id = steps.step(
        "create a container",
        || create(engine, &pulled.id),
        |id| format!(" {}", output::short_digest(id)),
    )?;
    steps.step("start it", || Ok(engine.start(&id, StartOptions { attach: None })?), |_| String::new())?;
    let port = host_port(engine, &id)?;
    steps.step(
        &format!("ask http://127.0.0.1:{port}/"),
        || steps.until(PATIENCE, || greeting(port)),
        |greeting| format!(": {}", greeting.trim_end()),
    )?;
    steps.step("execute 'gaufre version' in it", || exec(engine, &id), |version| format!(": {version}"))?;
    steps.step("read its logs", || logs(engine, &id), |lines| format!(": {} lines", lines.len()))?;
    steps.step("stop it", || Ok(engine.stop(&id, None)?), |_| String::new())?;
    let code = engine.wait(&id)?;
    if code != Some(0) {
        return Err(CliError::new(format_args!("the container ended with {code:?} instead of 0")));
    }
    steps.step("remove it", || Ok(engine.remove(&id, RemoveOptions::default())?), |_| String::new())?;
    steps.step("remove the image", || Ok(engine.remove_image(&pulled.id, false)?), |_| String::new())?;
    Ok(())
}

fn size(engine: &Engine) -> String {
    let images = engine.images().unwrap_or_default();
    images.first().map(|image| format!(" ({})", si_size(image.size_bytes))).unwrap_or_default()
}

fn create(engine: &Engine, image: &str) -> Result<String> {
    let ports = gaufre_engine::PortMapping::parse(&format!("127.0.0.1::{PORT}"));
    let ports = ports.map_err(|error| CliError::because("cannot publish a port", error))?;
    let request = CreateRequest {
        image: image.to_owned(),
        name: Some("demo".to_owned()),
        settings: Settings { ports, ..Settings::default() },
        pull: PullPolicy::Never,
        ..CreateRequest::default()
    };
    Ok(engine.create(&request, &())?.to_string())
}

/// The port of the host that was chosen.
fn host_port(engine: &Engine, id: &str) -> Result<u16> {
    let sandboxes = engine.list(false)?;
    let sandbox = sandboxes.iter().find(|sandbox| sandbox.id == id);
    let port = sandbox.and_then(|sandbox| sandbox.ports.first()).map(|port| port.host_port);
    port.ok_or_else(|| {
        CliError::new("the container has ended, or its port is not published")
            .with_hint("run 'gaufre demo' once more; if it fails again, please report it")
    })
}

fn greeting(port: u16) -> io::Result<String> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.write_all(b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")?;
    let mut reply = String::new();
    server.read_to_string(&mut reply)?;
    match reply.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") && body == workload::GREETING => {
            Ok(body.to_owned())
        }
        _ => Err(io::Error::other(format!("it answers {reply:?}"))),
    }
}

/// Runs our own `version` inside and gives its second line.
fn exec(engine: &Engine, id: &str) -> Result<String> {
    let command = [PROGRAM, "version", "--format", "{{.Version}}"].map(str::to_owned).to_vec();
    let session = engine.exec(id, &ExecRequest { command, ..ExecRequest::default() })?;
    let mut said = String::new();
    std::fs::File::from(session.stdout.try_clone()?).read_to_string(&mut said)?;
    match session.exit_code()? {
        0 => Ok(said.trim().to_owned()),
        code => Err(CliError::new(format_args!("the command ended with {code}"))),
    }
}

fn logs(engine: &Engine, id: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for record in engine.logs(id, LogsOptions::default())? {
        lines.push(String::from_utf8_lossy(&record?.bytes).into_owned());
    }
    match lines.iter().any(|line| line.starts_with("GET / ")) {
        true => Ok(lines),
        false => Err(CliError::new(format_args!("the request is missing in the logs: {lines:?}"))),
    }
}

/// A directory that is the demo's alone.
#[derive(Debug)]
struct Home(PathBuf);

impl Home {
    fn create() -> Result<Self> {
        let made = |parent: &Path| {
            let path = parent.join(format!("gaufre-demo-{}", std::process::id()));
            // Nobody else looks into a store.
            std::fs::DirBuilder::new().mode(0o700).create(&path).map(|()| path)
        };
        // A temporary directory may be somebody's overlay or too small; /var/tmp seldom is.
        let path = made(Path::new("/var/tmp")).or_else(|_| made(&std::env::temp_dir()));
        path.map(Self).map_err(|error| CliError::because("cannot make a directory for the demo", error))
    }

    fn engine(&self) -> Result<Engine> {
        let opened =
            Engine::open(EngineOptions { root: Some(self.0.join("root")), run: Some(self.0.join("run")) });
        if opened.is_err() {
            // Nothing has been made in it yet.
            let _ = std::fs::remove_dir_all(&self.0);
        }
        Ok(opened?)
    }

    /// Stops and removes everything, then the directory; goes on past a failure and tells the first.
    fn remove(self, engine: &Engine) -> Result<()> {
        let reset = engine.system_reset().map_err(CliError::from);
        let removed = std::fs::remove_dir_all(&self.0);
        reset?;
        removed.map_err(|error| CliError::because(format_args!("cannot remove {}", self.0.display()), error))
    }
}
