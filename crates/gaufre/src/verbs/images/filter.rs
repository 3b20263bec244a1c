//! `--filter` of `gaufre images`.

use std::str::FromStr;

use gaufre_engine::ImageSummary;

use crate::args;

/// What an image has to be like to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    /// Without names, or with.
    Dangling(bool),
    /// With a name like this, in which `*` stands for anything.
    Reference(String),
    /// With this label, and this value if one is given.
    Label(String, Option<String>),
    /// With an ID that begins so.
    Id(String),
    /// Used by a container, or not.
    Containers(bool),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
        let yes =
            || value.parse().map_err(|_| format!("'{value}' of filter '{key}' is neither true nor false"));
        match key {
            "dangling" => Ok(Self::Dangling(yes()?)),
            "containers" => Ok(Self::Containers(yes()?)),
            "reference" => Ok(Self::Reference(value.to_owned())),
            "id" => Ok(Self::Id(value.trim_start_matches("sha256:").to_owned())),
            "label" => Ok(match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(value.to_owned(), None),
            }),
            _ => Err(format!(
                "there is no filter '{key}'; there are dangling, reference, label, id and containers"
            )),
        }
    }
}

impl args::Filter for Filter {
    type Entry = ImageSummary;

    fn narrows(&self) -> bool {
        matches!(self, Self::Label(..))
    }

    fn fits(&self, image: &ImageSummary) -> bool {
        match self {
            Self::Dangling(wanted) => image.names.is_empty() == *wanted,
            Self::Containers(wanted) => (image.sandboxes > 0) == *wanted,
            Self::Id(beginning) => image.id.starts_with(beginning.as_str()),
            Self::Label(label, value) => {
                image.labels.get(label).is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            }
            Self::Reference(pattern) => image.names.iter().any(|name| is_named(name, pattern)),
        }
    }
}

/// Whether `name`, its end after any slash, or either without the tag, is like `pattern`.
fn is_named(name: &str, pattern: &str) -> bool {
    let without_tag = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    let ends = |whole: &str| {
        let after_slash = whole.match_indices('/').filter_map(|(at, _)| whole.get(at + 1..));
        std::iter::once(whole).chain(after_slash).any(|end| is_like(end, pattern))
    };
    ends(name) || ends(without_tag)
}

fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.filter_map(|at| rest.get(at..)).any(|end| is_like(end, after))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_in_its_short_and_long_forms() {
        let name = "docker.io/library/redis:7";
        for pattern in ["redis", "redis:7", "library/redis", name, "redis*", "*redis:*", "docker.io/*"] {
            assert!(is_named(name, pattern), "{pattern}");
        }
        for pattern in ["redi", "redis:8", "edis", "", "docker.io"] {
            assert!(!is_named(name, pattern), "{pattern}");
        }
    }

    #[test]
    fn unknown_filters_are_refused_by_name() {
        assert_eq!("label=a=b".parse(), Ok(Filter::Label("a".into(), Some("b".into()))));
        for bad in ["color=red", "dangling=maybe", "dangling"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
