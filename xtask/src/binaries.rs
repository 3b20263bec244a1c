//! Builds what the tests, the test VM and the benchmarks run, and finds what cargo has built.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The profile to build with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// Builds the product's binaries and returns their paths.
pub(crate) fn product(profile: Profile) -> Result<Vec<PathBuf>> {
    packages(&["gaufre", "gaufre-runtime"], profile)
}

/// Builds the binaries of packages and returns their paths.
pub(crate) fn packages(packages: &[&str], profile: Profile) -> Result<Vec<PathBuf>> {
    let mut build = cargo();
    build.args(["build", "--bins"]).args(packages.iter().map(|package| format!("--package={package}")));
    if profile == Profile::Release {
        build.arg("--release");
    }
    let built = executables(&mut build)?;
    if built.is_empty() {
        bail!("the packages {packages:?} have no binaries to build");
    }
    Ok(built)
}

/// Builds one integration test of a package without running it, and returns its executable.
pub(crate) fn test(package: &str, target: &str) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["test", "--package", package, "--test", target, "--no-run"]);
    // The package's own binaries are reported as well.
    let is_test = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('-'));
        name.is_some_and(|(name, _)| name == target.replace('-', "_"))
    };
    executables(&mut build)?
        .into_iter()
        .find(is_test)
        .with_context(|| format!("the package {package} has no test target {target}"))
}

/// `cargo` as the one that runs this program, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).stdin(Stdio::null());
    cargo
}

/// The root of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Runs a cargo command that builds, and collects the executables it reports (cargo's manual, external tools).
fn executables(build: &mut Command) -> Result<Vec<PathBuf>> {
    let output = build
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!("the build failed");
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let paths = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect();
    Ok(paths)
}
