//! A pure cgroup v2 view of this machine, in which both sides are measured alike.
//!
//! crun refuses a hybrid layout, and a bench in which only one side makes cgroups would measure that difference.

use anyhow::{Context, Result, ensure};
use gaufre_tests::Started;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A mount namespace of this machine with nothing but cgroup v2 at /sys/fs/cgroup.
#[derive(Debug)]
pub(super) struct CgroupView {
    keeper: Started,
}

impl CgroupView {
    /// Sets it up; it goes when dropped.
    pub(super) fn open() -> Result<Self> {
        let mut command = Command::new("unshare");
        let script = "mount -t cgroup2 cgroup2 /sys/fs/cgroup; echo ready; exec sleep infinity";
        command.args(["--mount", "--propagation=private", "sh", "-euc", script]);
        let mut keeper = Started::configured(&command, |command| {
            command.stdout(Stdio::piped());
        });
        let output = keeper.child().stdout.take().context("a pipe was asked for")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "cgroup v2 could not be mounted in a mount namespace");
        Ok(Self { keeper })
    }

    /// The same command in there, entered as the peers enter their root, so that both pay for it.
    pub(super) fn wrap(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()));
        inside.args(["chroot", "/"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside.stdin(Stdio::null());
        inside
    }
}
