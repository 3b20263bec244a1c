//! Everything that `create` and `run` share.

use std::path::{Path, PathBuf};

use clap::Args;
use gaufre_engine::settings::{CreateRequest, Settings};

use super::identity::IdentityArgs;
use super::image::PullArgs;
use super::limits::LimitArgs;
use super::network::NetworkArgs;
use super::process::ProcessArgs;
use super::security::SecurityArgs;
use super::storage::StorageArgs;
use crate::failure::{CliError, Result};

/// Everything that `create` and `run` share.
#[derive(Debug, Clone, Args)]
pub(crate) struct CreateArgs {
    /// Print this help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    // One list, so that everything after the image belongs to the command, also what looks like a flag.
    #[arg(value_name = "IMAGE", required = true, trailing_var_arg = true, hide = true)]
    words: Vec<String>,

    #[command(flatten)]
    process: ProcessArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    security: SecurityArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) pull: PullArgs,

    /// Write the container's ID to a file, which must not exist
    #[arg(long, value_name = "FILE", help_heading = "Names and labels")]
    cidfile: Option<PathBuf>,
}

impl CreateArgs {
    /// The same for the engine.
    ///
    /// # Errors
    /// A value that cannot be used, or two that contradict each other; the flag is named.
    pub(crate) fn request(&self) -> Result<CreateRequest> {
        let mut settings = Settings::default();
        self.process.apply(&mut settings)?;
        self.network.apply(&mut settings)?;
        self.storage.apply(&mut settings);
        self.limits.apply(&mut settings)?;
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        self.security.apply(&mut settings, &cwd)?;
        self.identity.apply(&mut settings)?;
        let (volumes, tmpfs) = self.storage.mounts(&cwd)?;
        let (image, command) =
            self.words.split_first().ok_or_else(|| CliError::new("give the image to run"))?;
        Ok(CreateRequest {
            image: image.clone(),
            command: command.to_vec(),
            entrypoint: self.process.entrypoint()?,
            env: self.process.env.resolve()?,
            workdir: self.process.workdir()?,
            user: self.process.user.clone(),
            name: self.identity.name.clone(),
            volumes,
            tmpfs,
            settings,
            pull: self.pull.pull,
            platform: self.pull.platform.clone(),
            registry: self.pull.registry.access(),
        })
    }

    /// Whether the container gets a terminal.
    pub(crate) fn terminal(&self) -> bool {
        self.process.tty
    }

    /// Whether our standard input goes to it.
    pub(crate) fn interactive(&self) -> bool {
        self.process.interactive
    }

    /// Where the ID is to be written; checked before anything is made.
    ///
    /// # Errors
    /// When there is such a file already, or no directory for it.
    pub(crate) fn free_cidfile(&self) -> Result<Option<&Path>> {
        match &self.cidfile {
            Some(path) if path.symlink_metadata().is_ok() => Err(CliError::new(format_args!(
                "--cidfile {} exists already: a container may still be using it",
                path.display()
            ))),
            Some(path) if !path.parent().is_some_and(|dir| dir.as_os_str().is_empty() || dir.is_dir()) => {
                let path = path.display();
                Err(CliError::new(format_args!(
                    "--cidfile {path} cannot be written: there is no such directory"
                )))
            }
            path => Ok(path.as_deref()),
        }
    }
}

/// Writes `id` to a new file at `path`.
///
/// # Errors
/// When it cannot be made or written.
pub(crate) fn write_cidfile(path: &Path, id: &str) -> Result<()> {
    use std::io::Write;
    let written = std::fs::File::create_new(path).and_then(|mut file| file.write_all(id.as_bytes()));
    written
        .map_err(|error| CliError::because(format_args!("cannot write --cidfile {}", path.display()), error))
}

#[cfg(test)]
mod tests;
