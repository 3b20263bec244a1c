//! `--env` and `--env-file`.

use std::path::PathBuf;

use clap::Args;
use gaufre_engine::settings::read_env_file;

use crate::failure::{CliError, Result};

/// Variables for the workload.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EnvArgs {
    /// Set an environment variable; NAME alone takes it from your environment
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// Read environment variables from a file, one NAME=VALUE per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
}

impl EnvArgs {
    /// All variables as `NAME=VALUE`, those of files first, so that a flag wins over a file.
    ///
    /// # Errors
    /// A file that cannot be read and an entry without a name.
    pub(crate) fn resolve(&self) -> Result<Vec<String>> {
        let mut entries = Vec::new();
        for file in &self.env_file {
            entries.extend(
                read_env_file(file)
                    .map_err(|error| CliError::because("invalid value for --env-file", error))?,
            );
        }
        entries.extend(self.env.iter().cloned());
        let own: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        resolve(&entries, &own)
    }
}

fn resolve(entries: &[String], own: &[(String, String)]) -> Result<Vec<String>> {
    let mut resolved = Vec::new();
    for entry in entries {
        match entry.split_once('=') {
            Some(("", _)) => {
                return Err(CliError::new(format_args!("environment variable '{entry}' has no name")));
            }
            Some(_) => resolved.push(entry.clone()),
            None if entry.is_empty() => return Err(CliError::new("an environment variable needs a name")),
            // `LC_*` takes all that begin so, as in podman.
            None => {
                let wanted = |name: &str| match entry.strip_suffix('*') {
                    Some(beginning) => name.starts_with(beginning),
                    None => name == entry,
                };
                let found = own.iter().filter(|(name, _)| wanted(name));
                resolved.extend(found.map(|(name, value)| format!("{name}={value}")));
            }
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_taken_from_the_callers_environment_or_dropped() {
        let own =
            [("HOME", "/root"), ("LC_ALL", "C"), ("LC_TIME", "x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        let entries = ["A=1", "HOME", "UNSET", "B=x=y", "C=", "LC_*"].map(str::to_owned);
        assert_eq!(
            resolve(&entries, &own).unwrap(),
            ["A=1", "HOME=/root", "B=x=y", "C=", "LC_ALL=C", "LC_TIME=x"]
        );
    }

    #[test]
    fn a_variable_without_a_name_is_refused() {
        assert!(resolve(&["=x".to_owned()], &[]).is_err());
        assert!(resolve(&[String::new()], &[]).is_err());
    }
}
