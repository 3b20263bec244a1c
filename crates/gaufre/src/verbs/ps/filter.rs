//! `--filter` of `gaufre ps`.

use std::str::FromStr;

use gaufre_engine::SandboxSummary;

use crate::args::{self, NamePattern};

/// What a container has to be like to be listed.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// With an ID that begins so.
    Id(String),
    /// With a name that matches this.
    Name(NamePattern),
    /// With this label, and this value if one is given.
    Label(String, Option<String>),
    /// In this state.
    Status(String),
    /// Ended with this code.
    Exited(i32),
    /// Made from an image of this name or ID.
    Ancestor(String),
    /// On this network.
    Network(String),
    /// With this mounted, by its place inside.
    Volume(String),
}

/// The names of a container's states.
const STATES: [&str; 6] = ["created", "starting", "running", "restarting", "stopping", "exited"];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
        let owned = || value.to_owned();
        match key {
            "id" => Ok(Self::Id(owned())),
            "name" => value.parse().map(Self::Name),
            "label" => Ok(match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(owned(), None),
            }),
            // podman takes Docker's word for it.
            "status" if value == "stopped" => Ok(Self::Status("exited".to_owned())),
            "status" if STATES.contains(&value) => Ok(Self::Status(owned())),
            "status" => Err(format!(
                "there is no status '{value}'; there are created, starting, running, restarting, stopping and exited"
            )),
            "exited" => value.parse().map(Self::Exited).map_err(|_| format!("'{value}' is no exit code")),
            "ancestor" => Ok(Self::Ancestor(owned())),
            "network" => Ok(Self::Network(owned())),
            "volume" => Ok(Self::Volume(owned())),
            _ => Err(format!(
                "there is no filter '{key}'; there are id, name, label, status, exited, ancestor, network and volume"
            )),
        }
    }
}

impl Filter {
    /// Whether the filter itself asks for containers that do not run.
    pub(super) fn wants_all(&self) -> bool {
        matches!(self, Self::Status(_) | Self::Exited(_))
    }
}

impl args::Filter for Filter {
    type Entry = SandboxSummary;

    fn narrows(&self) -> bool {
        matches!(self, Self::Label(..))
    }

    fn fits(&self, sandbox: &SandboxSummary) -> bool {
        match self {
            Self::Id(beginning) => sandbox.id.starts_with(beginning.as_str()),
            Self::Name(pattern) => pattern.matches(&sandbox.name),
            Self::Label(label, value) => sandbox
                .labels
                .get(label)
                .is_some_and(|found| value.as_ref().is_none_or(|value| value == found)),
            Self::Status(name) => sandbox.state.name() == name,
            Self::Exited(code) => sandbox.exit.as_ref().is_some_and(|exit| exit.code == Some(*code)),
            Self::Ancestor(image) => {
                let name = sandbox.image.as_str();
                sandbox.image_id.trim_start_matches("sha256:").starts_with(image.as_str())
                    || name == image
                    || name.rsplit_once(':').is_some_and(|(repository, _)| repository == image)
                    || name.ends_with(&format!("/{image}"))
                    || name
                        .rsplit_once(':')
                        .is_some_and(|(repository, _)| repository.ends_with(&format!("/{image}")))
            }
            Self::Network(name) => sandbox.network == *name,
            Self::Volume(place) => sandbox.mounts.contains(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_unknown_ones_refused_by_name() {
        let read = |text: &str| text.parse::<Filter>().unwrap();
        assert!(matches!(read("status=stopped"), Filter::Status(state) if state == "exited"));
        assert!(matches!(read("label=a"), Filter::Label(key, None) if key == "a"));
        for bad in ["foo=bar", "name", "name=(", "exited=x"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
