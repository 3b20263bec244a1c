//! What the workload may do.

use std::path::Path;

use clap::Args;
use gaufre_engine::settings::{
    SeccompChoice, Settings, check_seccomp_profile, parse_capability, parse_sysctl,
};

use super::invalid;
use crate::failure::Result;

/// What the workload may do.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Rights")]
pub(crate) struct SecurityArgs {
    /// Add a capability, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_capability)]
    cap_add: Vec<String>,

    /// Take a capability away, or ALL
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_capability)]
    cap_drop: Vec<String>,

    /// Give nearly all rights of the host's root
    #[arg(long)]
    privileged: bool,

    /// no-new-privileges, seccomp=unconfined, seccomp=FILE, mask=PATH,
    /// unmask=PATH or unmask=ALL
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,

    /// Set a kernel parameter of the container's own
    #[arg(long, value_name = "NAME=VALUE", value_delimiter = ',')]
    sysctl: Vec<String>,
}

impl SecurityArgs {
    /// A seccomp profile is made absolute from `cwd`, as whoever reads it later works elsewhere.
    pub(super) fn apply(&self, settings: &mut Settings, cwd: &Path) -> Result<()> {
        settings.cap_add.clone_from(&self.cap_add);
        settings.cap_drop.clone_from(&self.cap_drop);
        settings.privileged = self.privileged;
        for option in &self.security_opt {
            settings.security.set(option).map_err(|error| invalid("security-opt", error))?;
        }
        if let SeccompChoice::Profile(path) = &mut settings.security.seccomp {
            *path = cwd.join(&path);
            check_seccomp_profile(path).map_err(|error| invalid("security-opt", error))?;
        }
        for text in &self.sysctl {
            let (name, value) = parse_sysctl(text).map_err(|error| invalid("sysctl", error))?;
            settings.sysctls.insert(name, value);
        }
        Ok(())
    }
}
