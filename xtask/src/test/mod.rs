//! `cargo xtask test`: sets up everything that the tests need, runs all of them, and counts.
//!
//! The last line is always `N passed, N failed, N skipped`, alone.

mod tally;

use crate::binaries::{self, Profile, cargo};
use crate::{debian, images, peers, vm};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tally::Tally;

/// The real servers and clients that the end-to-end tests work with.
const PACKAGES: &[&str] = &[
    "docker-registry",
    "skopeo",
    "umoci",
    "podman",
    "containerd",
    "redis-tools",
    "postgresql-client",
    "apache2-utils",
    "openssl",
    "iproute2",
    "nftables",
    "cpio",
    "xz-utils",
    "zstd",
    "e2fsprogs",
    "util-linux",
    "procps",
];

/// How long one run of tests may take in the VM, boot included.
const VM_TIMEOUT: Duration = Duration::from_secs(1800);

/// Runs everything; the exit code says whether all of it passed.
pub(crate) fn run(kernels: &[vm::Release]) -> Result<ExitCode> {
    if !rustix::process::geteuid().is_root() {
        println!("Not root: what is missing cannot be installed, and tests that make sandboxes will fail.");
    }
    let mut packages: Vec<&str> = [PACKAGES, images::PACKAGES, vm::PACKAGES].concat();
    packages.sort_unstable();
    packages.dedup();
    debian::install(&packages)?;

    let started = Instant::now();
    let mut tally = Tally::default();
    check(&mut tally, "cargo fmt", cargo().args(["fmt", "--all", "--check"]));
    check(
        &mut tally,
        "cargo clippy",
        cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    );
    step("the product", || binaries::product(Profile::Dev).map(drop))?;
    step("the test images", || images::make().map(drop))?;
    step("the newest EROFS tools", || peers::erofs::make().map(drop))?;
    if peers::go::is_at_hand() {
        or_without("the validation programs", || peers::go::validation().map(drop));
        or_without("crictl", || peers::go::crictl().map(drop));
    }
    workspace(&mut tally)?;
    in_vms(&mut tally, kernels);
    println!("\nall of it took {} s", started.elapsed().as_secs());
    Ok(tally.conclude())
}

fn step(what: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    work().with_context(|| format!("{what} could not be made"))?;
    println!("== {what}: ready after {} s", started.elapsed().as_secs());
    Ok(())
}

/// What other tests do without: those that need it are skipped, and counted as such.
fn or_without(what: &str, work: impl FnOnce() -> Result<()>) {
    if let Err(error) = step(what, work) {
        println!("== {error:#}");
    }
}

/// A check without tests of its own counts as one.
fn check(tally: &mut Tally, name: &str, command: &mut Command) {
    println!("== {name}");
    let started = Instant::now();
    match command.status() {
        Ok(status) if status.success() => tally.pass(),
        Ok(status) => tally.fail(name, &status.to_string()),
        Err(error) => tally.fail(name, &error.to_string()),
    }
    println!("== {name}: {} s", started.elapsed().as_secs());
}

fn workspace(tally: &mut Tally) -> Result<()> {
    let mut units = cargo();
    units.args(["test", "--workspace", "--exclude=gaufre-tests", "--no-fail-fast"]);
    counted(tally, "the tests of each crate", &mut units)?;
    let mut end_to_end = cargo();
    end_to_end.args(["test", "--package=gaufre-tests", "--no-fail-fast"]);
    let memory = room_in_memory()?;
    if let Some(memory) = &memory {
        println!("the end-to-end tests have their stores in memory, in {}", memory.path().display());
        end_to_end.env("TMPDIR", memory.path());
    }
    counted(tally, "the end-to-end tests", &mut end_to_end)
}

/// A folder in memory, where there is enough of it; with a short name, because podman refuses long paths. The end-to-end tests unpack and remove the same images again and
/// again, with which they would keep a disk busy for most of their time; the store's own tests are on the disk.
fn room_in_memory() -> Result<Option<tempfile::TempDir>> {
    const ENOUGH_BYTES: u64 = 4_000_000_000;
    let enough = rustix::fs::statvfs("/dev/shm").is_ok_and(|fs| fs.f_bavail * fs.f_frsize >= ENOUGH_BYTES);
    let made = enough.then(|| tempfile::Builder::new().prefix("gt-").tempdir_in("/dev/shm"));
    made.transpose().context("cannot make a folder in /dev/shm")
}

/// The runtime's tests on each kernel, and on the newest one those that only the VM has anything for.
fn in_vms(tally: &mut Tally, kernels: &[vm::Release]) {
    for kernel in kernels {
        in_vm(tally, "the runtime's tests", *kernel, vm::Tests::Runtime);
    }
    let Some(newest) = kernels.last() else {
        tally.skip("the runtime's tests in the test VM", "no kernel was asked for");
        return;
    };
    in_vm(tally, "the runtime's tests with SELinux", *newest, vm::Tests::Selinux);
    in_vm(tally, "the runtime's tests with AppArmor", *newest, vm::Tests::Apparmor);
    if peers::go::is_at_hand() {
        in_vm(tally, "the validation programs under cgroup v2", *newest, vm::Tests::Validation);
    } else {
        tally.skip("the validation programs in the test VM", "there is no Go to build them");
    }
}

fn in_vm(tally: &mut Tally, what: &str, release: vm::Release, tests: vm::Tests) {
    let name = format!("{what} on Debian {}'s kernel", release.suite());
    println!("== {name}");
    let started = Instant::now();
    let run = || -> Result<String> {
        let (extras, argv) = tests.suite()?;
        let (extras, argv, selinux) = (&extras[..], &argv[..], tests == vm::Tests::Selinux);
        let vm = vm::Vm { release, memory_mb: 1024, timeout: VM_TIMEOUT, extras, argv, selinux };
        let mut said = Vec::new();
        let code = vm.run_with_output(|line| {
            println!("{line}");
            said.push(line.to_owned());
        })?;
        said.push(format!("exit code {code}"));
        Ok(said.join("\n"))
    };
    match run() {
        Ok(said) => tally.take(&name, &said, said.ends_with("\nexit code 0")),
        Err(error) => tally.fail(&name, &format!("{error:#}")),
    }
    println!("== {name}: {} s", started.elapsed().as_secs());
}

/// Runs a command that prints as Rust's test harness does, shows its output as it comes, and counts its tests.
fn counted(tally: &mut Tally, name: &str, command: &mut Command) -> Result<()> {
    println!("== {name}");
    let started = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("{name} could not be started"))?;
    let mut said = String::new();
    let mut output = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line).into_owned();
        print!("{text}");
        said.push_str(&text);
        line.clear();
    }
    tally.take(name, &said, child.wait()?.success());
    println!("== {name}: {} s", started.elapsed().as_secs());
    Ok(())
}
