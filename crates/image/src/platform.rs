//! Which of several platforms an image offers is the one asked for.

use std::fmt;
use std::str::FromStr;

/// Operating system, architecture and variant, in the words of the OCI image specification (GOOS, GOARCH).
///
/// ```
/// use gaufre_image::Platform;
/// assert_eq!("linux/aarch64".parse::<Platform>()?.to_string(), "linux/arm64");
/// # Ok::<(), gaufre_image::PlatformError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Architecture, such as `amd64`.
    pub architecture: String,
    /// Variant of the architecture, such as `v8`; none means any that the architecture's baseline runs.
    pub variant: Option<String>,
}

/// A text that is no platform.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no platform: write os/architecture or os/architecture/variant, such as linux/arm64")]
pub struct PlatformError(String);

impl Platform {
    /// The platform this program runs on.
    pub fn host() -> Self {
        Self::normalised("linux", std::env::consts::ARCH, None)
    }

    /// Reads `os/architecture[/variant]`, or an architecture alone; kernel names such as `x86_64` are understood.
    ///
    /// # Errors
    /// [`PlatformError`] if the text has empty parts, too many, or odd characters.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let refused = || PlatformError(text.to_owned());
        let word = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().copied().all(word) {
            return Err(refused());
        }
        match parts[..] {
            ["linux"] => Ok(Self::host()),
            [architecture] => Ok(Self::normalised("linux", architecture, None)),
            [os, architecture] => Ok(Self::normalised(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::normalised(os, architecture, Some(variant))),
            _ => Err(refused()),
        }
    }

    /// Names as containerd's `platforms` package normalises them.
    fn normalised(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let lower = architecture.to_ascii_lowercase();
        let (architecture, implied) = match lower.as_str() {
            "x86_64" | "x86-64" => ("amd64", None),
            "i386" | "i486" | "i586" | "i686" | "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            "powerpc64le" => ("ppc64le", None),
            other => (other, None),
        };
        let variant = variant.or(implied).map(str::to_ascii_lowercase);
        let variant = match (architecture, variant.as_deref()) {
            ("arm64", Some("8" | "v8")) | ("amd64", Some("v1")) => None,
            _ => variant,
        };
        Self { os: os.to_ascii_lowercase(), architecture: architecture.to_owned(), variant }
    }

    /// How well `offered` serves this platform: 0 is exact, more is worse, none is not at all.
    pub(crate) fn distance(&self, offered: &Platform) -> Option<u8> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let level = |platform: &Platform| match (platform.architecture.as_str(), &platform.variant) {
            ("amd64", None) => Some(1),
            ("arm64", None) => Some(8),
            // Without a word, 32-bit ARM means v7, as in containerd.
            ("arm", None) => Some(7),
            (_, None) => Some(0),
            (_, Some(variant)) => variant.strip_prefix('v').and_then(|digits| digits.parse::<u8>().ok()),
        };
        if self.variant == offered.variant {
            return Some(0);
        }
        // A processor runs what was built for an older variant of it.
        level(self)?.checked_sub(level(offered)?)
    }

    pub(crate) fn of_descriptor(platform: &oci_spec::image::Platform) -> Self {
        let architecture = platform.architecture().to_string();
        Self::normalised(&platform.os().to_string(), &architecture, platform.variant().as_deref())
    }

    pub(crate) fn of_config(config: &oci_spec::image::ImageConfiguration) -> Self {
        let architecture = config.architecture().to_string();
        let variant = config.variant().as_deref().filter(|variant| !variant.is_empty());
        Self::normalised(&config.os().to_string(), &architecture, variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn kernel_names_become_the_names_of_the_specification() {
        assert_eq!(platform("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(platform("linux/arm64/v8").to_string(), "linux/arm64");
        assert_eq!(platform("armhf").to_string(), "linux/arm/v7");
    }

    #[test]
    fn a_text_with_empty_parts_is_refused() {
        for text in ["", "/", "linux/", "linux//v8", "a/b/c/d", "linux/am d64"] {
            assert!(Platform::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_older_variant_serves_and_a_newer_one_does_not() {
        assert_eq!(platform("linux/arm64").distance(&platform("linux/arm64/v8")), Some(0));
        assert_eq!(platform("linux/arm/v7").distance(&platform("linux/arm/v6")), Some(1));
        assert_eq!(platform("linux/arm/v6").distance(&platform("linux/arm/v7")), None);
        assert_eq!(platform("linux/amd64").distance(&platform("linux/amd64/v3")), None);
        assert_eq!(platform("linux/amd64/v3").distance(&platform("linux/amd64")), Some(2));
        assert_eq!(platform("linux/amd64").distance(&platform("linux/arm64")), None);
        assert_eq!(platform("linux/amd64").distance(&platform("windows/amd64")), None);
    }
}
