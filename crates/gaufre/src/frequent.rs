//! The verbs that scripts say a thousand times, parsed without the others.
//!
//! To parse one verb, clap makes the flags of all: a third of a millisecond, of the ten that a short container takes.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::cli::{Cli, Global, Verb};
use crate::verbs;

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Frequent {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: FrequentVerb,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process, and only for a moment")]
enum FrequentVerb {
    Run(verbs::run::Args),
    Exec(verbs::exec::Args),
}

/// What `args` say, if that is one of these verbs without a mistake. Of anything else [`Cli`] is to be asked.
pub(crate) fn parse(args: &[OsString]) -> Option<Cli> {
    if !args.iter().any(|arg| arg == "run" || arg == "exec") {
        return None;
    }
    let Frequent { global, verb } = Frequent::try_parse_from(args).ok()?;
    let verb = match verb {
        FrequentVerb::Run(args) => Verb::Run(args),
        FrequentVerb::Exec(args) => Verb::Exec(args),
    };
    Some(Cli { global, verb })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn frequent_verbs_mean_what_they_mean_among_all() {
        for line in [
            "gaufre run --rm -it image sh -c true",
            "gaufre --root /a --log-level=debug run --name=one --name two -e A=b image --flag",
            "gaufre exec -w / -e A one ls -l",
            "gaufre exec --latest",
        ] {
            let (quick, whole) = (parse(&words(line)), Cli::try_parse_from(words(line)).ok());
            assert_eq!(format!("{quick:?}"), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn others_and_mistakes_are_left_to_the_whole_command_line() {
        for line in [
            "gaufre ps",
            "gaufre start run",
            "gaufre run --help",
            "gaufre run --no-such-flag image",
            "gaufre",
        ] {
            assert!(parse(&words(line)).is_none(), "{line}");
        }
    }
}
