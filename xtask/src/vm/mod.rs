//! `cargo xtask vm`: boots a small virtual machine on one of Debian's kernels and runs a command in it.
//!
//! It gives what a test machine may lack: cgroup v2 with all controllers, a working /dev/kvm, and other kernel versions.
//! QEMU emulates the processor in software, so times from inside mean nothing.

mod cpio;
mod kernel;
mod module;
mod root;

pub(crate) use kernel::Release;
pub(crate) use root::Extra;

use crate::binaries::{self, Profile};
use crate::debian;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What this code needs on the machine.
pub(crate) const PACKAGES: &[&str] = &[
    "qemu-system-x86",
    "busybox-static",
    "e2fsprogs",
    "xz-utils",
    "zstd",
    "iproute2",
    "nftables",
    "debian-archive-keyring",
];

/// What to boot and what to run in it.
#[derive(Debug)]
pub(crate) struct Vm<'a> {
    pub(crate) release: Release,
    pub(crate) memory_mb: u32,
    pub(crate) timeout: Duration,
    pub(crate) extras: &'a [Extra],
    pub(crate) argv: &'a [String],
}

impl Vm<'_> {
    /// Boots, runs the command with its output on `output`, and returns its exit code.
    ///
    /// # Errors
    ///
    /// If the kernel cannot be had, if the VM ends without an exit code, or at the timeout; then with the console's end.
    pub(crate) fn run(&self, output: Stdio) -> Result<i32> {
        debian::install(PACKAGES)?;
        let kernel = kernel::fetch(self.release)?;
        let dir = tempfile::tempdir()?;
        let (initrd, disk) = (dir.path().join("initrd"), dir.path().join("disk"));
        let (console, code) = (dir.path().join("console"), dir.path().join("code"));
        root::initrd(&initrd, &kernel)?;
        root::disk(&disk, "8G", &kernel, self.extras, self.argv)
            .context("the VM's disk could not be made")?;

        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "EPYC,+svm,+npt", "-smp", "2"]);
        qemu.args([
            "-m",
            &self.memory_mb.to_string(),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ]);
        qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initrd);
        qemu.args(["-append", "console=ttyS0 reboot=t panic=-1 quiet"]);
        qemu.arg("-serial").arg(format!("file:{}", console.display()));
        qemu.args(["-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"]);
        qemu.arg("-serial").arg(format!("file:{}", code.display()));
        qemu.arg("-drive").arg(format!("file={},format=raw,if=virtio,cache=unsafe", disk.display()));
        let child =
            qemu.stdin(Stdio::null()).stdout(output).stderr(File::create(dir.path().join("qemu"))?).spawn();
        let mut running = Running(child.context("qemu-system-x86_64 could not be started")?);

        let ended = running.wait(self.timeout)?;
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        match read(&code).trim().parse() {
            Ok(code) if ended => Ok(code),
            _ if !ended => bail!(
                "the VM was still running after {} s; its console: {}",
                self.timeout.as_secs(),
                read(&console)
            ),
            _ => bail!(
                "the VM ended without an exit code; its console: {}{}",
                read(&console),
                read(&dir.path().join("qemu"))
            ),
        }
    }
}

/// The product's binaries, as they lie in the VM.
pub(crate) fn product() -> Result<Vec<Extra>> {
    let binaries = binaries::product(Profile::Dev)?;
    let extra = |host: std::path::PathBuf| {
        let name = host.file_name()?.to_owned();
        Some(Extra { host, guest: Path::new("/usr/bin").join(name) })
    };
    Ok(binaries.into_iter().filter_map(extra).collect())
}

/// The runtime's own tests, and the command that runs them in the VM.
pub(crate) fn sandbox_tests() -> Result<(Vec<Extra>, Vec<String>)> {
    let mut extras = product()?;
    let test = binaries::test("gaufre-runtime", "sandbox")?;
    extras.push(Extra { host: test, guest: "/usr/bin/sandbox-tests".into() });
    let run =
        "GAUFRE_OCI=/usr/bin/gaufre-oci GAUFRE_BUSYBOX=/bin/busybox exec sandbox-tests --test-threads=2";
    Ok((extras, ["sh", "-c", run].map(str::to_owned).to_vec()))
}

/// QEMU's process, ended when dropped.
struct Running(Child);

impl Running {
    /// Waits for its end; `false` says that the time was over first.
    fn wait(&mut self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(true)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
