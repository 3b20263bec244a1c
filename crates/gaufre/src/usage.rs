//! A command line that cannot be understood: one sentence in podman's manner, and where to read more.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::failure::OWN_FAILURE;
use crate::output;

/// Flags of podman and Docker that users will try, and why there are none.
const NOT_SUPPORTED: [(&str, &str); 21] = [
    ("--userns", "containers use the host's user namespace"),
    ("--uidmap", "containers use the host's user namespace"),
    ("--gidmap", "containers use the host's user namespace"),
    ("--pod", "there are no pods yet"),
    ("--gpus", "give the device nodes with --device"),
    ("--ipc", "every container has an IPC namespace of its own"),
    ("--pid", "every container has a PID namespace of its own"),
    ("--uts", "every container has a UTS namespace of its own"),
    ("--cgroupns", "every container has a cgroup namespace of its own"),
    ("--cgroup-parent", "gaufre chooses where its cgroups are"),
    ("--secret", "mount the file with --volume"),
    ("--health-cmd", "there are no health checks yet"),
    ("--no-healthcheck", "there are no health checks"),
    ("--volumes-from", "name the volumes with --volume"),
    ("--ip", "gaufre chooses the address"),
    ("--mac-address", "gaufre chooses the address"),
    ("--link", "let the containers share a network: --network container:NAME"),
    ("--expose", "publish the port with --publish"),
    ("--rootfs", "gaufre runs images; load one with 'gaufre load'"),
    ("--runtime", "gaufre is its own runtime"),
    ("--storage-driver", "gaufre chooses how it stores layers"),
];

/// `gaufre help VERB` is `gaufre VERB --help`.
pub(crate) fn help_as_flag(mut args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_some_and(|word| word == "help") {
        args.remove(1);
        args.push("--help".into());
    }
    args
}

/// Prints what is wrong, or the help that was asked for, and gives the code to exit with.
pub(crate) fn explain(error: &clap::Error, args: impl Iterator<Item = OsString>) -> u8 {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Help into a closed pipe is not a failure.
        let _ = error.print();
        return 0;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return OWN_FAILURE;
    }
    output::note(format_args!("Error: {}\nSee '{} --help'", sentence(error), command(args)));
    OWN_FAILURE
}

fn sentence(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match (error.kind(), context(ContextKind::InvalidArg), context(ContextKind::InvalidValue)) {
        (ErrorKind::UnknownArgument, Some(flag), _) => {
            match NOT_SUPPORTED.iter().find(|(name, _)| *name == flag) {
                Some((_, why)) => format!("{flag} is not supported: {why}"),
                None => format!("unknown flag: {flag}{}", suggestion(error)),
            }
        }
        (ErrorKind::InvalidSubcommand, ..) => {
            let verb = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unknown verb '{verb}'{}", suggestion(error))
        }
        (ErrorKind::ValueValidation, Some(flag), Some(value)) => {
            let flag = flag.split_whitespace().next().unwrap_or(flag);
            let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
            let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            if why.is_empty() {
                return format!("invalid value for {flag}: '{value}'");
            }
            format!("invalid value for {flag}: {why}")
        }
        (ErrorKind::MissingRequiredArgument, ..) => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) => {
                let first = |text: &String| {
                    text.trim_matches(['<', '>', '.', '[', ']']).split(' ').next().map(str::to_owned)
                };
                format!("{} is missing", missing.iter().filter_map(first).collect::<Vec<_>>().join(" and "))
            }
            _ => first_line(error),
        },
        _ => first_line(error),
    }
}

/// What clap says, in one line and without its own beginning.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let sentence = text.split("\n\n").next().unwrap_or(text);
    sentence.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn suggestion(error: &clap::Error) -> String {
    let similar = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand]
        .into_iter()
        .find_map(|kind| error.get(kind));
    match similar {
        Some(ContextValue::String(name)) => format!(" (there is {name})"),
        Some(ContextValue::Strings(names)) if !names.is_empty() => {
            format!(" (there is {})", names.join(", "))
        }
        _ => String::new(),
    }
}

/// The program and the verbs among its arguments, for `--help`.
fn command(args: impl Iterator<Item = OsString>) -> String {
    let mut known = Cli::command();
    let mut words = vec![known.get_name().to_owned()];
    for arg in args.skip(1) {
        match known.find_subcommand(&arg) {
            Some(verb) => {
                words.push(verb.get_name().to_owned());
                known = verb.clone();
            }
            // Before the verb there may be flags with values, after the last verb nothing is a verb.
            None if !known.has_subcommands() => break,
            None => {}
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn said(args: &[&str]) -> String {
        let args = std::iter::once("gaufre").chain(args.iter().copied());
        let error = Cli::try_parse_from(args.clone()).unwrap_err();
        format!("{} | {}", sentence(&error), command(args.map(OsString::from)))
    }

    #[test]
    fn mistakes_are_explained_in_one_sentence() {
        assert_eq!(said(&["run", "--bogus", "x"]), "unknown flag: --bogus | gaufre run");
        assert_eq!(said(&["xyzzy"]), "unknown verb 'xyzzy' | gaufre");
        assert_eq!(
            said(&["run", "--memory", "x", "img"]),
            "invalid value for --memory: 'x' is not a number with an optional unit b, k, m, g, t or p, such as 512m | gaufre run"
        );
        assert_eq!(
            said(&["run", "-v", "x:/y:O", "img"]),
            "invalid value for --volume: volume 'x:/y:O' cannot be mounted as asked: volume option 'O' is not supported | gaufre run"
        );
        assert_eq!(said(&["run"]), "IMAGE is missing | gaufre run");
        assert_eq!(said(&["--root", "/x", "system", "xyzzy"]), "unknown verb 'xyzzy' | gaufre system");
    }

    #[test]
    fn help_is_a_verb_too() {
        let flagged = |words: &str| help_as_flag(words.split(' ').map(OsString::from).collect());
        assert_eq!(flagged("gaufre help run"), ["gaufre", "run", "--help"]);
        assert_eq!(flagged("gaufre help system df"), ["gaufre", "system", "df", "--help"]);
        assert_eq!(flagged("gaufre help"), ["gaufre", "--help"]);
        assert_eq!(flagged("gaufre run help"), ["gaufre", "run", "help"]);
    }

    #[test]
    fn flags_of_podman_that_are_missing_say_why() {
        let why = "--userns is not supported: containers use the host's user namespace | gaufre run";
        assert_eq!(said(&["run", "--userns", "keep-id", "img"]), why);
        assert_eq!(said(&["run", "--userns=keep-id", "img"]), why);
        assert!(said(&["create", "--gpus", "all", "img"]).starts_with("--gpus is not supported"));
    }
}
