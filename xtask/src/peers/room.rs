//! Runs the peers' programs in their root directory, in a private mount namespace with a pure cgroup v2 view.

use super::Peers;
use crate::cache;
use anyhow::{Context, Result, ensure};
use gaufre_tests::Started;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Makes `$ROOT` a system that programs can run in. Only the calling mount namespace sees it. Must hold no single quote.
pub(crate) const ENTER: &str = r#"
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
touch etc/resolv.conf
mount --bind /etc/resolv.conf etc/resolv.conf
# Where Debian keeps what podman runs.
PATH="$PATH:/usr/lib/podman"
"#;

/// A script that runs `program`, for use by hand.
pub(super) fn script(program: &str) -> String {
    format!(
        "#!/bin/sh\n# Made by `cargo xtask peers`.\nset -eu\nROOT=\"$(dirname \"$(readlink -f \"$0\")\")/../root\"\nexport ROOT\n\
         exec unshare --mount --propagation=private sh -euc '{ENTER}\nexec chroot . \"$@\"' sh {program} \"$@\"\n"
    )
}

/// A mount namespace that stays while it is needed, so that entering it costs a peer next to nothing.
#[derive(Debug)]
pub(crate) struct Room {
    root: String,
    keeper: Started,
    /// Podman's storage is one: two that measure would remove each other's images.
    _lock: File,
}

impl Room {
    /// Sets it up.
    pub(crate) fn open(peers: &Peers) -> Result<Self> {
        let lock = cache::lock(&peers.bin, "room")?;
        let mut command = Command::new("unshare");
        let script = format!("{ENTER}\necho ready; exec sleep infinity");
        command.args(["--mount", "--propagation=private", "sh", "-euc", &script]).env("ROOT", &peers.root);
        let mut keeper = Started::configured(&command, |command| {
            command.stdout(Stdio::piped());
        });
        let output = keeper.child().stdout.take().context("a pipe was asked for")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "the peers' root {} could not be entered", peers.root.display());
        Ok(Self { root: peers.root.display().to_string(), keeper, _lock: lock })
    }

    /// A program of the peers, to be run inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        // The root as the namespace sees it, with the mounts on it: a path from outside would miss them.
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()));
        command.args(["chroot", &self.root, program]).stdin(Stdio::null());
        command
    }
}
