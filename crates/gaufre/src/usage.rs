//! A command line that cannot be understood: one sentence in podman's manner, and where to read more.

mod foreign;
mod similar;

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::failure::OWN_FAILURE;
use crate::output;

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
    let place = Place::of(args);
    output::note(format_args!("Error: {}", output::in_one_line(&sentence(error, &place))));
    if let Some(topic) = topic(error, &place) {
        output::note(format_args!("See '{topic} --help'"));
    }
    OWN_FAILURE
}

/// How far a command line was understood.
struct Place {
    /// The program and its verbs.
    words: Vec<String>,
    /// What the last of them takes.
    command: clap::Command,
    /// What follows them.
    rest: Vec<String>,
}

impl Place {
    fn of(args: impl Iterator<Item = OsString>) -> Self {
        let mut args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
        let mut command = Cli::command();
        let mut words = vec![command.get_name().to_owned()];
        let mut at = 1;
        while command.has_subcommands()
            && let Some(arg) = args.get(at)
        {
            if let Some(verb) = command.find_subcommand(arg) {
                words.push(verb.get_name().to_owned());
                command = verb.clone();
            } else if let Some(flag) = arg.strip_prefix("--") {
                // Those before the verb all take a value, here or in the next word.
                at += usize::from(command.get_arguments().any(|known| known.get_long() == Some(flag)));
            } else {
                break;
            }
            at += 1;
        }
        let rest = args.split_off(at.min(args.len()));
        Self { words, command, rest }
    }

    /// The verbs.
    fn verb(&self) -> String {
        self.words.get(1..).unwrap_or_default().join(" ")
    }

    /// The flags that help shows.
    fn flags(&self) -> Vec<String> {
        let shown = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
        shown
            .filter_map(clap::Arg::get_long_and_visible_aliases)
            .flatten()
            .map(|name| format!("--{name}"))
            .collect()
    }

    /// The verb that does what this podman verb of a group does, with the words for the latter.
    fn regrouped(&self) -> Option<(String, &'static str)> {
        let (group, verb) = match (&self.words[..], &self.rest[..]) {
            ([_, group], [verb, ..]) | ([_], [group, verb, ..]) => (group, verb),
            _ => return None,
        };
        Some((format!("{group} {verb}"), foreign::verb_of_group(group, verb)?))
    }
}

/// The help that is worth reading after this error: none where the error has said what the value has to be like.
fn topic(error: &clap::Error, place: &Place) -> Option<String> {
    let has_value = || matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if !value.is_empty());
    match error.kind() {
        ErrorKind::ValueValidation => None,
        ErrorKind::InvalidValue if has_value() => None,
        ErrorKind::InvalidSubcommand if let Some((_, verb)) = place.regrouped() => {
            Some(format!("gaufre {verb}"))
        }
        _ => Some(place.words.join(" ")),
    }
}

fn sentence(error: &clap::Error, place: &Place) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match (error.kind(), context(ContextKind::InvalidArg), context(ContextKind::InvalidValue)) {
        (ErrorKind::UnknownArgument, Some(flag), _) => match foreign::flag_reason(&place.verb(), flag) {
            Some(why) => format!("{flag} is not supported: {why}"),
            None if !flag.starts_with('-') => format!("'{flag}' is one argument too many"),
            None => {
                let flags = place.flags();
                let known: Vec<&str> = flags.iter().map(String::as_str).collect();
                format!("unknown flag: {flag}{}", suggestion(flag, &known))
            }
        },
        (ErrorKind::InvalidSubcommand, ..) => {
            let verb = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            if let Some((said, verb)) = place.regrouped() {
                return format!("there is no verb '{said}': use 'gaufre {verb}'");
            }
            let is_first = place.words.len() == 1;
            match foreign::verb_instead(verb).filter(|_| is_first) {
                Some(instead) => format!("there is no verb '{verb}': {instead}"),
                None => {
                    let shown = place.command.get_subcommands().filter(|verb| !verb.is_hide_set());
                    let known: Vec<&str> = shown.map(clap::Command::get_name).collect();
                    format!("unknown verb '{verb}'{}", suggestion(verb, &known))
                }
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

fn suggestion(word: &str, known: &[&str]) -> String {
    match &similar::similar(word, known)[..] {
        [] => String::new(),
        likely => format!(" (there is {})", likely.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn said(args: &[&str]) -> String {
        let args = std::iter::once("gaufre").chain(args.iter().copied());
        let error = Cli::try_parse_from(args.clone()).unwrap_err();
        let place = Place::of(args.map(OsString::from));
        let see = topic(&error, &place).map(|topic| format!(" | {topic}"));
        format!("{}{}", sentence(&error, &place), see.unwrap_or_default())
    }

    #[test]
    fn mistakes_are_explained_in_one_sentence() {
        assert_eq!(said(&["run", "--bogus", "x"]), "unknown flag: --bogus | gaufre run");
        assert_eq!(said(&["xyzzy"]), "unknown verb 'xyzzy' | gaufre");
        assert_eq!(
            said(&["run", "--memory", "x", "img"]),
            "invalid value for --memory: 'x' is not a number with an optional unit b, k, m, g, t or p, such as 512m"
        );
        assert_eq!(
            said(&["run", "-v", "x:/y:O", "img"]),
            "invalid value for --volume: volume 'x:/y:O' cannot be mounted as asked: volume option 'O' is not supported"
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
        let maybe = "invalid value for --tls-verify: 'maybe'; there are true, false";
        assert_eq!(said(&["pull", "--tls-verify=maybe", "x"]), maybe);
        assert_eq!(said(&["tag"]), "IMAGE and NAME are missing | gaufre tag");
        assert_eq!(said(&["load", "x"]), "'x' is one argument too many | gaufre load");
        let status =
            "there is no status 'up'; there are created, starting, running, restarting, stopping and exited";
        assert!(said(&["ps", "-f", "status=up"]).contains(status));
        let number = "invalid value for --time: 'x' is not a whole number";
        assert_eq!(said(&["stop", "-t", "x", "a"]), number);
        let both = "--detach and --attach exclude each other | gaufre run";
        assert_eq!(said(&["run", "-d", "-a", "stdout", "x"]), both);
        let level = "there is no log level 'foo'; there are off, error, warn, info, debug and trace";
        assert!(said(&["--log-level", "foo", "ps"]).contains(level));
        assert!(said(&["logs", "--tail", "x", "a"]).contains("'x' is no number of lines"));
    }

    #[test]
    fn verbs_of_podman_that_are_missing_say_what_does_the_same() {
        let restart = said(&["restart", "web"]);
        assert_eq!(restart, "there is no verb 'restart': 'gaufre stop' it, then 'gaufre start' it | gaufre");
        assert_eq!(said(&["image", "rm", "x"]), "there is no verb 'image rm': use 'gaufre rmi' | gaufre rmi");
        let info = "there is no verb 'system info': use 'gaufre info' | gaufre info";
        assert_eq!(said(&["--root", "/x", "system", "info"]), info);
        let rename = said(&["rename", "a", "b"]);
        assert!(rename.starts_with("there is no verb 'rename': a container keeps its name"), "{rename}");
    }

    #[test]
    fn only_what_is_likely_meant_is_suggested() {
        assert_eq!(said(&["rnu"]), "unknown verb 'rnu' (there is run) | gaufre");
        assert_eq!(said(&["volume", "lss"]), "unknown verb 'lss' (there is ls) | gaufre volume");
        assert_eq!(said(&["ps", "--foramt", "x"]), "unknown flag: --foramt (there is --format) | gaufre ps");
        assert_eq!(
            said(&["run", "--interact", "x"]),
            "unknown flag: --interact (there is --interactive) | gaufre run"
        );
        for args in [&["run", "--sdnotify", "x"][..], &["farm"], &["volume", "list2"], &["volume", "reload"]]
        {
            assert!(!said(args).contains("there is"), "{args:?}: {}", said(args));
        }
    }

    #[test]
    fn flags_of_podman_that_are_missing_say_why() {
        let why = "--userns is not supported: containers use the host's user namespace | gaufre run";
        assert_eq!(said(&["run", "--userns", "keep-id", "img"]), why);
        assert_eq!(said(&["run", "--userns=keep-id", "img"]), why);
        assert!(said(&["create", "--gpus", "all", "img"]).starts_with("--gpus is not supported"));
        let replace =
            "--replace is not supported: remove the other container first: gaufre rm -f NAME | gaufre run";
        assert_eq!(said(&["run", "--replace", "--name", "a", "img"]), replace);
        for words in [
            "run --health-interval 3s x",
            "run --cpu-period 3 x",
            "run --systemd=true x",
            "run --arch arm64 x",
            "logs -l",
            "exec --latest ps",
            "inspect -l",
            "ps -s",
            "ps --sort names",
            "ps -aw 2",
            "ps --ns",
            "pull -a x",
            "stop --filter a=b",
            "stop -f a=b",
            "rm --cidfile x",
            "wait --condition running a",
            "images --sort size",
            "images --history",
            "volume create --opt type=nfs",
            "exec --preserve-fds 1 a b",
            "exec --detach-keys a a b",
        ] {
            let said = said(&words.split(' ').collect::<Vec<_>>());
            assert!(said.contains(" is not supported: "), "{words}: {said}");
        }
    }
}
