//! `cargo xtask vm`: boots a small virtual machine on one of Debian's kernels and runs a command in it.
//!
//! It gives what a test machine may lack: cgroup v2 with all controllers, a working /dev/kvm, and other kernel versions.
//! QEMU emulates the processor in software, so times from inside mean nothing.

mod apparmor;
mod cpio;
mod kernel;
mod module;
mod root;
mod selinux;
mod suites;

pub(crate) use kernel::Release;
pub(crate) use root::Extra;
pub(crate) use suites::{Tests, product};

use crate::debian;
use anyhow::{Context, Result, anyhow, bail};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
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
    "mmdebstrap",
];

/// One that virtualises. Without cmpxchg16b, after which QEMU 7.2 leaves nonsense in the flags register when an interrupt
/// comes, and Debian 13's kernel crashes (docs/decisions/051).
const CPU: &str = "EPYC,+svm,+npt,-cx16";

/// What to boot and what to run in it.
#[derive(Debug)]
pub(crate) struct Vm<'a> {
    pub(crate) release: Release,
    pub(crate) memory_mb: u32,
    pub(crate) timeout: Duration,
    pub(crate) extras: &'a [Extra],
    pub(crate) argv: &'a [String],
    /// With SELinux, enforcing Debian's policy, rather than AppArmor.
    pub(crate) selinux: bool,
}

impl Vm<'_> {
    /// Boots, runs the command with its output on our own standard output, and returns its exit code.
    ///
    /// # Errors
    ///
    /// If the kernel cannot be had, if the VM ends without an exit code, or at the timeout; then with the console's end.
    pub(crate) fn run(&self) -> Result<i32> {
        self.run_with_output(|line| println!("{line}"))
    }

    /// The same, with each line of the command's output given to `line`.
    pub(crate) fn run_with_output(&self, mut line: impl FnMut(&str)) -> Result<i32> {
        debian::install(PACKAGES)?;
        let kernel = kernel::fetch(self.release)?;
        let dir = tempfile::tempdir()?;
        root::initrd(&dir.path().join("initrd"), &kernel)?;
        let mut extras = self.extras.to_owned();
        if self.selinux {
            extras.push(Extra { host: selinux::policy()?, guest: selinux::PLACE.into() });
        }
        root::disk(&dir.path().join("disk"), "8G", &kernel, &extras, self.argv)
            .context("the VM's disk could not be made")?;
        let mut running = Running(self.qemu(&kernel.image, dir.path())?);

        let output = running.0.stdout.take().context("a pipe was asked for")?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for bytes in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let _ = sender.send(String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned());
            }
        });
        let deadline = Instant::now() + self.timeout;
        let read =
            |name| String::from_utf8_lossy(&fs::read(dir.path().join(name)).unwrap_or_default()).into_owned();
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(said) => line(&said),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "the VM was still running after {} s; its console: {}",
                        self.timeout.as_secs(),
                        read("console")
                    )
                }
            }
        }
        running.0.wait()?;
        read("code").trim().parse().map_err(|_| {
            anyhow!("the VM ended without an exit code; its console: {}{}", read("console"), read("qemu"))
        })
    }

    fn qemu(&self, kernel: &Path, dir: &Path) -> Result<Child> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-M",
            "q35",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            CPU,
            "-m",
            &self.memory_mb.to_string(),
        ]);
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(dir.join("initrd"));
        let security = if self.selinux { " security=selinux" } else { "" };
        qemu.args(["-append", &format!("console=ttyS0 reboot=t panic=-1 quiet{security}")]);
        qemu.arg("-serial").arg(format!("file:{}", dir.join("console").display()));
        qemu.args(["-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"]);
        qemu.arg("-serial").arg(format!("file:{}", dir.join("code").display()));
        qemu.arg("-drive")
            .arg(format!("file={},format=raw,if=virtio,cache=unsafe", dir.join("disk").display()));
        let stderr = File::create(dir.join("qemu"))?;
        let child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn();
        child.context("qemu-system-x86_64 could not be started")
    }
}

/// QEMU's process, ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
