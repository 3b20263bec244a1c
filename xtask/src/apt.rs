//! apt for other releases of Debian than the machine's own.

use crate::{command, debian};
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// apt with a root directory of its own: the machine's own sources and state are neither read nor changed.
pub(crate) struct Apt {
    root: PathBuf,
}

impl Apt {
    /// Makes the root directory `root` and fetches the package lists of Debian's release `suite` into it.
    pub(crate) fn new(root: &Path, suite: &str) -> Result<Self> {
        for dir in
            ["etc/apt/apt.conf.d", "etc/apt/preferences.d", "state/lists/partial", "cache/archives/partial"]
        {
            fs::create_dir_all(root.join(dir))?;
        }
        let source = format!("deb [signed-by={}] {} {} main\n", debian::KEYRING, debian::mirror()?, suite);
        fs::write(root.join("etc/apt/sources.list"), source)?;
        fs::write(root.join("state/status"), "")?;
        let apt = Self { root: root.to_owned() };
        command::quiet(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// `apt-get` or `apt-cache`, told to use this root.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (option, path) in [
            ("Dir::Etc", "etc/apt"),
            ("Dir::State", "state"),
            ("Dir::State::status", "state/status"),
            ("Dir::Cache", "cache"),
        ] {
            command.arg(format!("-o{option}={}", self.root.join(path).display()));
        }
        // The folder belongs to the user, whom apt's own unprivileged user cannot read.
        command.args(["-oAPT::Sandbox::User=root", "-oAcquire::Languages=none", "-oAPT::Architecture=amd64"]);
        command.arg("-oAPT::Architectures=amd64");
        command
    }

    /// Whether the release has this package.
    pub(crate) fn has(&self, package: &str) -> bool {
        self.command("apt-cache")
            .args(["show", "--no-all-versions", package])
            .output()
            .is_ok_and(|o| o.status.success())
    }
}
