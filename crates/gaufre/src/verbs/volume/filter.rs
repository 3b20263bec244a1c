//! `--filter` of `gaufre volume`.

use std::str::FromStr;

use gaufre_engine::Volume;

use crate::args::{self, NamePattern};

/// What a volume has to be like.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// With a name that matches this.
    Name(NamePattern),
    /// With this label, and this value if one is given.
    Label(String, Option<String>),
    /// Mounted by no container, or by one at least.
    Dangling(bool),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
        match key {
            "name" => value.parse().map(Self::Name),
            "label" => Ok(match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(value.to_owned(), None),
            }),
            "dangling" => {
                let dangling = value.parse().map_err(|_| format!("'{value}' is neither true nor false"))?;
                Ok(Self::Dangling(dangling))
            }
            _ => Err(format!("there is no filter '{key}'; there are name, label and dangling")),
        }
    }
}

impl args::Filter for Filter {
    type Entry = Volume;

    fn narrows(&self) -> bool {
        matches!(self, Self::Label(..))
    }

    fn fits(&self, volume: &Volume) -> bool {
        match self {
            Self::Name(pattern) => pattern.matches(&volume.name),
            Self::Label(key, None) => volume.labels.contains_key(key),
            Self::Label(key, Some(value)) => volume.labels.get(key) == Some(value),
            Self::Dangling(dangling) => volume.sandboxes.is_empty() == *dangling,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Filter as _;

    #[test]
    fn a_filter_means_what_it_says() {
        let volume = Volume {
            name: "pages".to_owned(),
            path: "/volumes/pages/_data".into(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            labels: [("for".to_owned(), "web".to_owned())].into(),
            anonymous: false,
            sandboxes: Vec::new(),
        };
        let fits = |text: &str| text.parse::<Filter>().unwrap().fits(&volume);
        for text in ["name=age", "name=^pages$", "label=for", "label=for=web", "dangling=true"] {
            assert!(fits(text), "{text}");
        }
        for text in ["name=other", "name=^age", "label=web", "label=for=db", "dangling=false"] {
            assert!(!fits(text), "{text}");
        }
        for (text, part) in
            [("pages", "KEY=VALUE"), ("dangling=maybe", "maybe"), ("size=1", "there are name")]
        {
            let refusal = text.parse::<Filter>().unwrap_err();
            assert!(refusal.contains(part), "{text}: {refusal}");
        }
    }
}
