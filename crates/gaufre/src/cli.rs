//! The command line: what there is to say, before anything is done.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use gaufre_engine::{Engine, EngineOptions};
use tracing_subscriber::filter::LevelFilter;

use crate::failure::Result;
use crate::verbs;

/// Run containers from OCI images, without a daemon.
#[derive(Debug, Parser)]
#[command(
    name = "gaufre",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    args_override_self = true
)]
#[command(disable_help_subcommand = true, subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
#[command(after_help = "Run 'gaufre help VERB' for what a verb does and takes.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What goes before the verb.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Directory for images and containers [default: $GAUFRE_ROOT, or /var/lib/gaufre]
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Directory for what lives until the next boot [default: $GAUFRE_RUN, or /run/gaufre]
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,

    /// What to tell on standard error: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "warn", value_parser = log_level)]
    pub(crate) log_level: LevelFilter,
}

fn log_level(text: &str) -> std::result::Result<LevelFilter, String> {
    text.parse().map_err(|_| {
        format!("there is no log level '{text}'; there are off, error, warn, info, debug and trace")
    })
}

impl Global {
    /// What to tell after a failure: a directory that was named and that cannot be, or none.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        if !rustix::process::geteuid().is_root() {
            return None; // Then it is not for want of a directory.
        }
        let named = [
            self.directory(self.root.as_ref(), "GAUFRE_ROOT"),
            self.directory(self.run.as_ref(), "GAUFRE_RUN"),
        ];
        let unusable = named.iter().flatten().any(|dir| !is_usable(dir));
        unusable.then_some("Name writable directories with --root and --run.")
    }

    fn directory(&self, flag: Option<&PathBuf>, variable: &str) -> Option<PathBuf> {
        let from_env = || std::env::var_os(variable).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        flag.cloned().or_else(from_env)
    }

    /// The engine on the store that was asked for.
    ///
    /// # Errors
    /// When the store cannot be used, or we are not root.
    pub(crate) fn engine(&self) -> Result<Engine> {
        let root = self.directory(self.root.as_ref(), "GAUFRE_ROOT");
        let run = self.directory(self.run.as_ref(), "GAUFRE_RUN");
        Ok(Engine::open(EngineOptions { root, run })?)
    }
}

/// Everything gaufre does. The order is that of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Run(verbs::run::Args),
    Create(verbs::create::Args),
    Start(verbs::start::Args),
    Ps(verbs::ps::Args),
    Logs(verbs::logs::Args),
    Exec(verbs::exec::Args),
    Attach(verbs::attach::Args),
    Stop(verbs::stop::Args),
    Kill(verbs::kill::Args),
    Wait(verbs::wait::Args),
    Rm(verbs::rm::Args),
    Inspect(verbs::inspect::Args),
    Pull(verbs::pull::Args),
    Images(verbs::images::Args),
    Load(verbs::load::Args),
    Tag(verbs::tag::Args),
    Untag(verbs::untag::Args),
    Rmi(verbs::rmi::Args),
    #[command(subcommand)]
    Volume(verbs::volume::Verb),
    #[command(subcommand)]
    System(verbs::system::Verb),
    Info(verbs::info::Args),
    Version(verbs::version::Args),
    Completion(verbs::completion::Args),
    Demo(verbs::demo::Args),
}

impl Verb {
    /// Does it, and gives the code to exit with.
    ///
    /// # Errors
    /// Whatever the verb fails of.
    pub(crate) fn execute(&self, global: &Global) -> Result<u8> {
        match self {
            Self::Run(args) => verbs::run::execute(args, global),
            Self::Create(args) => verbs::create::execute(args, global),
            Self::Start(args) => verbs::start::execute(args, global),
            Self::Ps(args) => verbs::ps::execute(args, global),
            Self::Logs(args) => verbs::logs::execute(args, global),
            Self::Exec(args) => verbs::exec::execute(args, global),
            Self::Attach(args) => verbs::attach::execute(args, global),
            Self::Stop(args) => verbs::stop::execute(args, global),
            Self::Kill(args) => verbs::kill::execute(args, global),
            Self::Wait(args) => verbs::wait::execute(args, global),
            Self::Rm(args) => verbs::rm::execute(args, global),
            Self::Inspect(args) => verbs::inspect::execute(args, global),
            Self::Pull(args) => verbs::pull::execute(args, global),
            Self::Images(args) => verbs::images::execute(args, global),
            Self::Load(args) => verbs::load::execute(args, global),
            Self::Tag(args) => verbs::tag::execute(args, global),
            Self::Untag(args) => verbs::untag::execute(args, global),
            Self::Rmi(args) => verbs::rmi::execute(args, global),
            Self::Volume(verb) => verbs::volume::execute(verb, global),
            Self::System(verb) => verbs::system::execute(verb, global),
            Self::Info(args) => verbs::info::execute(args, global),
            Self::Version(args) => verbs::version::execute(args, global),
            Self::Completion(args) => verbs::completion::execute(args, global),
            Self::Demo(args) => verbs::demo::execute(args),
        }
    }
}

/// Whether it is a directory, or one can be made there: the engine makes what is missing.
fn is_usable(dir: &Path) -> bool {
    let there = dir.ancestors().find(|dir| dir.symlink_metadata().is_ok());
    let above = there.unwrap_or(Path::new("."));
    above.is_dir() && (above == dir || rustix::fs::access(above, rustix::fs::Access::WRITE_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The help of `verb` as a terminal of 80 columns shows it.
    fn help(verb: Option<&str>) -> String {
        let mut command = Cli::command().term_width(80);
        command.build();
        let mut shown = match verb {
            Some(verb) => command.find_subcommand(verb).unwrap().clone().term_width(80),
            None => command,
        };
        shown.render_help().to_string()
    }

    #[test]
    fn help_reads_well_in_a_terminal_of_80_columns() {
        insta::assert_snapshot!("help", help(None));
        insta::assert_snapshot!("help-run", help(Some("run")));
        insta::assert_snapshot!("help-exec", help(Some("exec")));
        insta::assert_snapshot!("help-ps", help(Some("ps")));
    }

    #[test]
    fn no_line_of_any_help_is_wider_than_80_columns() {
        let command = Cli::command();
        for verb in command.get_subcommands() {
            let help = help(Some(verb.get_name()));
            let wide = help.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{}", verb.get_name());
        }
    }

    #[test]
    fn arguments_stand_under_no_heading_of_flags() {
        for verb in Cli::command().get_subcommands() {
            let strayed = verb.get_positionals().find(|arg| arg.get_help_heading().is_some());
            assert!(strayed.is_none(), "{}: {strayed:?}", verb.get_name());
        }
    }

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
