//! `gaufre completion`.

use std::path::PathBuf;

use clap::{CommandFactory, ValueEnum};
use clap_complete::generate;
use clap_complete::shells;

use crate::cli::{Cli, Global};
use crate::failure::{CliError, Result};
use crate::output;

/// Print a script that completes gaufre's verbs and flags in a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gaufre completion bash -f /etc/bash_completion.d/gaufre
  gaufre completion zsh -f /usr/local/share/zsh/site-functions/_gaufre
  gaufre completion fish -f /etc/fish/completions/gaufre.fish")]
pub(crate) struct Args {
    /// Write the script to a file, in place of what is there
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// bash, zsh or fish
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn execute(args: &Args, _: &Global) -> Result<u8> {
    let script = script(args.shell);
    match &args.file {
        Some(path) => std::fs::write(path, script).map_err(|error| {
            CliError::because(format_args!("cannot write the script to {}", path.display()), error)
        })?,
        None => output::line(String::from_utf8_lossy(&script).trim_end())?,
    }
    Ok(0)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, name, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, name, &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, name, &mut script),
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shells_script_knows_every_verb() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for verb in Cli::command().get_subcommands() {
                assert!(script.contains(verb.get_name()), "{} for {shell:?}", verb.get_name());
            }
        }
    }
}
