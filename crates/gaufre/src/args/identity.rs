//! What a sandbox is called and labelled.

use std::path::PathBuf;

use clap::Args;
use gaufre_engine::settings::{Settings, read_env_file};

use super::invalid;
use crate::failure::{CliError, Result};

/// Names and labels.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Names and labels")]
pub(crate) struct IdentityArgs {
    /// Name for the container; one is made up otherwise
    #[arg(long)]
    pub(super) name: Option<String>,

    /// Host name inside the container
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,

    /// Attach a label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Read labels from a file, one KEY=VALUE per line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,

    /// Attach an annotation to the OCI bundle
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',')]
    annotation: Vec<String>,
}

impl IdentityArgs {
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<()> {
        settings.hostname.clone_from(&self.hostname);
        let mut labels = Vec::new();
        for file in &self.label_file {
            labels.extend(read_env_file(file).map_err(|error| invalid("label-file", error))?);
        }
        labels.extend(self.label.iter().cloned());
        for label in labels {
            let (key, value) = label.split_once('=').unwrap_or((&label, ""));
            if key.is_empty() {
                return Err(CliError::new(format_args!("label '{label}' has no key")));
            }
            settings.labels.insert(key.to_owned(), value.to_owned());
        }
        for annotation in &self.annotation {
            match annotation.split_once('=') {
                Some((key, value)) if !key.is_empty() => {
                    settings.annotations.insert(key.to_owned(), value.to_owned());
                }
                _ => return Err(CliError::new(format_args!("annotation '{annotation}' is not KEY=VALUE"))),
            }
        }
        Ok(())
    }
}
