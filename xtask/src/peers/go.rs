//! What is built from Go modules, where Go is at hand: the validation programs of the runtime specification, and crictl.

use crate::{cache, command};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The module of the validation programs. It is older than Go modules and names no versions of what it needs.
const VALIDATION: &str = "github.com/opencontainers/runtime-tools";
const VALIDATION_MOD: &str = include_str!("validation.mod");

/// The module of crictl.
const CRICTL: &str = "sigs.k8s.io/cri-tools@v1.30.0";

/// Without debugging information: three times smaller.
const LDFLAGS: &str = "-ldflags=-s -w";

/// Whether there is Go.
pub(crate) fn is_at_hand() -> bool {
    go().arg("version").output().is_ok_and(|output| output.status.success())
}

/// Builds the validation programs unless they are cached, and points `validation` in the cache folder at them:
/// `NAME.t` for each, with `runtimetest` and the root file system that they unpack beside.
pub(crate) fn validation() -> Result<PathBuf> {
    let dir = cache::folder("peers")?;
    let name = format!("validation-{}", cache::key(&["1", VALIDATION_MOD, LDFLAGS]));
    let place = cache::once(&dir, &name, |scratch| {
        let source = scratch.join(".source");
        fs::create_dir(&source)?;
        fs::write(source.join("go.mod"), VALIDATION_MOD)?;
        let list = ["list", "-f", "{{if eq .Name \"main\"}}{{.ImportPath}}{{end}}"];
        let list = command::stdout(
            go().current_dir(&source).args(list).arg(format!("{VALIDATION}/validation/...")),
        )?;
        build(&source, scratch, &list.split_whitespace().collect::<Vec<_>>())?;
        for program in list.split_whitespace().filter_map(|path| path.rsplit('/').next()) {
            fs::rename(scratch.join(program), scratch.join(format!("{program}.t")))?;
        }
        build(&source, scratch, &[&format!("{VALIDATION}/cmd/runtimetest")])?;
        let module =
            command::stdout(go().current_dir(&source).args(["list", "-m", "-f", "{{.Dir}}", VALIDATION]))?;
        let rootfs = "rootfs-amd64.tar.gz";
        fs::copy(Path::new(module.trim()).join(rootfs), scratch.join(rootfs))
            .with_context(|| format!("{VALIDATION} has no {rootfs}"))?;
        cache::remove(&source)
    })
    .context("the validation programs could not be built")?;
    cache::point(&dir, "validation", &place)?;
    Ok(place)
}

/// Builds crictl unless it is cached, and points `crictl` in the cache folder at it.
pub(crate) fn crictl() -> Result<PathBuf> {
    let dir = cache::folder("peers")?;
    let name = format!("crictl-{}", cache::key(&["1", CRICTL, LDFLAGS]));
    let place = cache::once(&dir, &name, |scratch| {
        let source = scratch.join(".source");
        fs::create_dir(&source)?;
        fs::write(source.join("go.mod"), "module crictl\n")?;
        let format = ["mod", "download", "-json", CRICTL];
        let said = command::stdout(go().current_dir(&source).args(format))?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let module = said["Dir"].as_str().context("go mod download does not say where the module is")?;
        // It is built where its own go.mod counts, which replaces modules, and where Go may add to its go.sum.
        let copy = source.join("module");
        command::quiet(Command::new("cp").args(["-r", "--no-preserve=mode", module]).arg(&copy))?;
        build(&copy, scratch, &["./cmd/crictl"])?;
        cache::remove(&source)
    })
    .context("crictl could not be built")?;
    let program = place.join("crictl");
    cache::point(&dir, "crictl", &program)?;
    Ok(program)
}

fn build(module: &Path, into: &Path, packages: &[&str]) -> Result<()> {
    let mut build = go();
    build.current_dir(module).args(["build", "-trimpath", LDFLAGS, "-o"]).arg(format!("{}/", into.display()));
    command::quiet(build.args(packages))
}

/// `go` of this machine, whatever newer version a module asks for, making programs that need no libraries.
fn go() -> Command {
    let mut go = Command::new("go");
    go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod -buildvcs=false").env("CGO_ENABLED", "0");
    go
}
