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
        // Of help itself there is no more to say than all.
        args.retain(|word| word != "help");
        args.push("--help".into());
    }
    args
}

/// Verbs of podman and Docker that users will try, and what does the same.
const OTHER_VERBS: [(&str, &str); 21] = [
    ("build", "gaufre does not build images; pull one, or load what podman or docker saved"),
    ("container", "its verbs stand by themselves: 'gaufre ps', 'gaufre rm' and so on"),
    ("image", "its verbs stand by themselves: 'gaufre images', 'gaufre rmi' and so on"),
    ("network", "there is one bridge, and 'run --network' chooses how a container uses it"),
    ("pod", "there are no pods yet"),
    ("compose", "there is no compose yet"),
    ("restart", "'gaufre stop' it, then 'gaufre start' it"),
    ("login", "log in with podman or docker, whose credentials are used, or give --creds to 'gaufre pull'"),
    ("logout", "log out with podman or docker, whose credentials are used"),
    ("push", "gaufre pulls and loads images, and sends none"),
    ("save", "gaufre pulls and loads images, and saves none"),
    ("commit", "gaufre makes no images"),
    ("cp", "use 'gaufre exec' with tar, or a --volume"),
    ("top", "use 'gaufre exec NAME ps', if the image has ps"),
    ("stats", "there are no statistics yet"),
    ("port", "'gaufre ps' lists the ports"),
    ("pause", "containers cannot be paused yet"),
    ("unpause", "containers cannot be paused yet"),
    ("search", "ask the registry's own site"),
    ("history", "'gaufre inspect IMAGE' has the history"),
    ("events", "there are no events yet"),
];

/// What the standard library says of text that is no whole number.
const NO_INTEGER: [&str; 2] = ["invalid digit found in string", "cannot parse integer from empty string"];

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
    output::note(format_args!(
        "Error: {}\nSee '{} --help'",
        output::in_one_line(&sentence(error)),
        command(args)
    ));
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
                None if !flag.starts_with('-') => format!("'{flag}' is one argument too many"),
                None => format!("unknown flag: {flag}{}", suggestion(error)),
            }
        }
        (ErrorKind::InvalidSubcommand, ..) => {
            let verb = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            match OTHER_VERBS.iter().find(|(name, _)| *name == verb) {
                Some((_, instead)) => format!("there is no verb '{verb}': {instead}"),
                None => format!("unknown verb '{verb}'{}", suggestion(error)),
            }
        }
        (ErrorKind::ValueValidation, Some(flag), Some(value)) => {
            let flag = flag.split_whitespace().next().unwrap_or(flag);
            let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
            let why = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            if why.is_empty() {
                return format!("invalid value for {flag}: '{value}'");
            }
            if value.parse::<i128>().is_err() && NO_INTEGER.contains(&why.as_str()) {
                return format!("invalid value for {flag}: '{value}' is not a whole number");
            }
            format!("invalid value for {flag}: {why}")
        }
        (ErrorKind::ArgumentConflict, Some(flag), _) => {
            let name = |flag: &str| flag.split_whitespace().next().unwrap_or(flag).to_owned();
            match context(ContextKind::PriorArg) {
                Some(prior) => format!("{} and {} exclude each other", name(flag), name(prior)),
                None => first_line(error),
            }
        }
        (ErrorKind::InvalidValue, Some(flag), value) => {
            let flag = flag.split([' ', '[', '=']).next().unwrap_or(flag);
            let value = value.unwrap_or_default();
            match error.get(ContextKind::ValidValue) {
                _ if value.is_empty() => format!("{flag} needs a value"),
                Some(ContextValue::Strings(valid)) => {
                    format!("invalid value for {flag}: '{value}'; there are {}", valid.join(", "))
                }
                _ => format!("invalid value for {flag}: '{value}'"),
            }
        }
        (ErrorKind::MissingRequiredArgument, ..) => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) => {
                let first = |text: &String| {
                    text.trim_matches(['<', '>', '.', '[', ']']).split(' ').next().map(str::to_owned)
                };
                let verb = if missing.len() > 1 { "are" } else { "is" };
                let names: Vec<String> = missing.iter().filter_map(first).collect();
                format!("{} {verb} missing", names.join(" and "))
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
        assert_eq!(flagged("gaufre help help"), ["gaufre", "--help"]);
        assert_eq!(flagged("gaufre run help"), ["gaufre", "run", "help"]);
    }

    #[test]
    fn a_missing_or_foreign_value_is_named_with_those_there_are() {
        assert_eq!(said(&["run", "-p"]), "--publish needs a value | gaufre run");
        let maybe = "invalid value for --tls-verify: 'maybe'; there are true, false | gaufre pull";
        assert_eq!(said(&["pull", "--tls-verify=maybe", "x"]), maybe);
        assert_eq!(said(&["tag"]), "IMAGE and NAME are missing | gaufre tag");
        assert_eq!(said(&["load", "x"]), "'x' is one argument too many | gaufre load");
        let status =
            "there is no status 'up'; there are created, starting, running, restarting, stopping and exited";
        assert!(said(&["ps", "-f", "status=up"]).contains(status));
        let number = "invalid value for --time: 'x' is not a whole number | gaufre stop";
        assert_eq!(said(&["stop", "-t", "x", "a"]), number);
        let both = "--detach and --attach exclude each other | gaufre run";
        assert_eq!(said(&["run", "-d", "-a", "stdout", "x"]), both);
        let level = "there is no log level 'foo'; there are off, error, warn, info, debug and trace";
        assert!(said(&["--log-level", "foo", "ps"]).contains(level));
        assert!(said(&["logs", "--tail", "x", "a"]).contains("'x' is no number of lines"));
    }

    #[test]
    fn verbs_of_podman_that_are_missing_say_what_does_the_same() {
        let said = said(&["restart", "web"]);
        assert_eq!(said, "there is no verb 'restart': 'gaufre stop' it, then 'gaufre start' it | gaufre");
        let known: Vec<String> =
            Cli::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
        assert!(OTHER_VERBS.iter().all(|(verb, _)| !known.contains(&(*verb).to_owned())));
    }

    #[test]
    fn flags_of_podman_that_are_missing_say_why() {
        let why = "--userns is not supported: containers use the host's user namespace | gaufre run";
        assert_eq!(said(&["run", "--userns", "keep-id", "img"]), why);
        assert_eq!(said(&["run", "--userns=keep-id", "img"]), why);
        assert!(said(&["create", "--gpus", "all", "img"]).starts_with("--gpus is not supported"));
    }
}
