//! What runs inside, and what happens when it ends.

use clap::Args;
use gaufre_engine::settings::{LogDriver, LogSettings, RestartPolicy, Settings, Signal};

use super::{EnvArgs, invalid};
use crate::failure::{CliError, Result};

/// What runs inside, and what happens when it ends.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Process")]
pub(crate) struct ProcessArgs {
    /// Keep standard input open
    #[arg(short, long)]
    pub(super) interactive: bool,

    /// Give the container a terminal
    #[arg(short, long)]
    pub(super) tty: bool,

    #[command(flatten)]
    pub(super) env: EnvArgs,

    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    pub(super) workdir: Option<String>,

    /// User and group to run as, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(super) user: Option<String>,

    /// Additional group, by name or number
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    group_add: Vec<String>,

    /// Replace the image's entry point; "" clears it
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,

    /// Run a small init as process 1 that forwards signals and reaps
    #[arg(long)]
    init: bool,

    /// What to do at the end: no, always, on-failure[:COUNT], unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    restart: RestartPolicy,

    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,

    /// Signal that asks the container to end [default: the image's, or TERM]
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<Signal>,

    /// Seconds between that signal and KILL
    #[arg(long, value_name = "SECONDS", default_value_t = gaufre_engine::settings::DEFAULT_STOP_TIMEOUT_S)]
    stop_timeout: u32,

    /// How to keep output: k8s-file or none
    #[arg(long, value_name = "DRIVER", default_value = "k8s-file")]
    log_driver: LogDriver,

    /// Option for logs: max-size=SIZE or max-file=COUNT
    #[arg(long, value_name = "OPTION", value_delimiter = ',')]
    log_opt: Vec<String>,
}

impl ProcessArgs {
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<()> {
        settings.terminal = self.tty;
        settings.stdin_open = self.interactive;
        settings.groups.clone_from(&self.group_add);
        settings.init = self.init;
        settings.restart = self.restart;
        settings.remove_on_exit = self.rm;
        settings.stop_signal = self.stop_signal;
        settings.stop_timeout_s = self.stop_timeout;
        settings.log = LogSettings { driver: self.log_driver, ..LogSettings::default() };
        for option in &self.log_opt {
            settings.log.set(option).map_err(|error| invalid("log-opt", error))?;
        }
        if self.rm && self.restart != RestartPolicy::No {
            let policy = self.restart;
            return Err(CliError::new(format_args!("--rm and --restart {policy} contradict each other")));
        }
        Ok(())
    }

    /// `--entrypoint` as a list of arguments: a JSON array, one program, or nothing for the empty string.
    pub(super) fn entrypoint(&self) -> Result<Option<Vec<String>>> {
        let Some(text) = &self.entrypoint else { return Ok(None) };
        match text.trim_start() {
            "" => Ok(Some(Vec::new())),
            array if array.starts_with('[') => match serde_json::from_str(array) {
                Ok(args) => Ok(Some(args)),
                Err(error) => {
                    let error = anyhow::Error::new(error);
                    Err(invalid("entrypoint", error.context(format!("'{text}' is no JSON array of words"))))
                }
            },
            _ => Ok(Some(vec![text.clone()])),
        }
    }

    /// `--workdir`, which has to be absolute.
    pub(super) fn workdir(&self) -> Result<Option<String>> {
        match &self.workdir {
            Some(dir) if !dir.starts_with('/') => {
                Err(CliError::new(format_args!("working directory '{dir}' is not an absolute path")))
            }
            dir => Ok(dir.clone()),
        }
    }
}
