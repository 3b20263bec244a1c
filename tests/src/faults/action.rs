//! What is interrupted, and how one sees that it still works afterwards.

use crate::Gaufre;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A command that a fault may hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Pull,
    Run,
    RunDetached,
    Exec,
    Stop,
    Remove,
    RemoveImage,
}

/// The container that stays while commands are done to it.
const NAME: &str = "victim";

impl Action {
    pub(super) const ALL: [Self; 7] =
        [Self::Pull, Self::Run, Self::RunDetached, Self::Exec, Self::Stop, Self::Remove, Self::RemoveImage];

    /// Brings the store to where the command has something to do.
    pub(super) fn prepare(self, gaufre: &Gaufre, image: &str) {
        match self {
            Self::Pull => {
                remove(gaufre);
                gaufre.ok(&["rmi", "--force", image]);
            }
            Self::Run | Self::RemoveImage | Self::RunDetached => remove(gaufre),
            Self::Exec | Self::Stop | Self::Remove => {
                remove(gaufre);
                gaufre.ok(&detached(image));
            }
        }
    }

    pub(super) fn arguments(self, image: &str) -> Vec<&str> {
        match self {
            Self::Pull => vec!["pull", "--quiet", "--tls-verify=false", image],
            Self::Run => vec!["run", "--rm", image, "true"],
            Self::RunDetached => detached(image),
            Self::Exec => vec!["exec", NAME, "echo", "inside"],
            Self::Stop => vec!["stop", "--time=1", NAME],
            Self::Remove => vec!["rm", "--force", "--time=0", NAME],
            Self::RemoveImage => vec!["rmi", "--force", image],
        }
    }

    /// Whatever was interrupted, the same command works when asked again, and the image is there in the end.
    pub(super) fn must_still_work(self, gaufre: &Gaufre, image: &str, what: &str) {
        let again = |arguments: &[&str]| {
            let said = gaufre.say(arguments);
            assert_eq!(said.code, 0, "{what}; then {}: {}{}", arguments.join(" "), said.out, said.err);
            said.out
        };
        match self {
            Self::Pull | Self::Run => {}
            Self::RunDetached | Self::Remove => {
                remove(gaufre);
                again(&detached(image));
                assert_eq!(again(&["exec", NAME, "echo", "inside"]), "inside\n", "{what}");
            }
            // A sandbox outlives the keeper and the command that were killed.
            Self::Exec => assert_eq!(again(&["exec", NAME, "echo", "inside"]), "inside\n", "{what}"),
            Self::Stop => {
                again(&["stop", "--time=1", NAME]);
                again(&["start", NAME]);
            }
            Self::RemoveImage => {
                let said = gaufre.say(&["rmi", "--force", image]);
                assert!([0, 1].contains(&said.code), "{what}; then rmi: {}", said.err);
            }
        }
        again(&["pull", "--quiet", "--tls-verify=false", image]);
        assert_eq!(again(&["run", "--rm", image, "echo", "whole"]), "whole\n", "{what}");
    }
}

fn detached(image: &str) -> Vec<&str> {
    // Init has no default action for SIGTERM: --init lets a stop take effect at once.
    vec!["run", "--detach", "--init", "--name", NAME, image, "sleep", "3600"]
}

/// Removes the container, whatever state it is in; one that is not there is fine.
fn remove(gaufre: &Gaufre) {
    let said = gaufre.say(&["rm", "--force", "--time=0", NAME]);
    assert!([0, 1].contains(&said.code), "rm --force: {}", said.err);
    let listed = gaufre.ok(&["ps", "--all", "--format", "{{.Names}}"]);
    assert!(!listed.lines().any(|name| name == NAME), "rm --force left {NAME}: {}", said.err);
}

/// How long each command usually takes, measured once.
#[derive(Debug, Default)]
pub(super) struct Usual(HashMap<Action, Duration>);

impl Usual {
    /// A little more than the usual time of `action`; leaves the store ready for it again.
    pub(super) fn of(&mut self, action: Action, gaufre: &Gaufre, image: &str) -> Duration {
        *self.0.entry(action).or_insert_with(|| {
            let started = Instant::now();
            gaufre.ok(&action.arguments(image));
            let took = started.elapsed();
            if action == Action::RemoveImage {
                gaufre.ok(&Action::Pull.arguments(image));
            }
            action.prepare(gaufre, image);
            took * 11 / 10
        })
    }
}
