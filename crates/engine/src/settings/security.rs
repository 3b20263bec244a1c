//! `--security-opt`: seccomp, no_new_privs and the paths hidden from the workload.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// seccomp, no_new_privs and the paths hidden from the workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityOptions {
    /// Whether set-user-ID programs gain nothing.
    pub no_new_privileges: bool,
    /// The system call filter.
    pub seccomp: SeccompChoice,
    /// Paths hidden in addition to the default ones.
    pub mask: Vec<String>,
    /// Paths not hidden and not read-only though they are by default; `ALL` for every one.
    pub unmask: Vec<String>,
}

/// Which system call filter is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompChoice {
    /// The built-in one.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// The one in this JSON file.
    Profile(PathBuf),
}

/// A `--security-opt` that cannot be granted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ParseSecurityError {
    /// Unknown.
    #[error(
        "security option '{0}' is not supported; there are no-new-privileges, seccomp=, mask= and unmask="
    )]
    Unsupported(String),
    /// SELinux.
    #[error("security option '{0}' asks for SELinux labels, which are not supported; only label=disable is")]
    Label(String),
    /// AppArmor.
    #[error("security option '{0}' asks for an AppArmor profile, which is not supported; only unconfined is")]
    AppArmor(String),
    /// Not true or false.
    #[error("security option '{0}' is neither true nor false")]
    Boolean(String),
    /// Not absolute.
    #[error("path '{path}' of security option '{option}' is not absolute")]
    Relative {
        /// The whole option.
        option: String,
        /// The path.
        path: String,
    },
    /// Nothing after the sign.
    #[error("security option '{0}' lacks its value")]
    Empty(String),
}

impl SecurityOptions {
    /// The options as they would be given to [`SecurityOptions::set`].
    pub fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        if self.no_new_privileges {
            options.push("no-new-privileges".to_owned());
        }
        match &self.seccomp {
            SeccompChoice::Default => {}
            SeccompChoice::Unconfined => options.push("seccomp=unconfined".to_owned()),
            SeccompChoice::Profile(path) => options.push(format!("seccomp={}", path.display())),
        }
        for (key, paths) in [("mask", &self.mask), ("unmask", &self.unmask)] {
            if !paths.is_empty() {
                options.push(format!("{key}={}", paths.join(":")));
            }
        }
        options
    }

    /// Takes one `--security-opt` into account.
    ///
    /// # Errors
    /// An option that does not exist or that is not supported; each is named.
    pub fn set(&mut self, option: &str) -> Result<(), ParseSecurityError> {
        let (key, value) = match option.split_once(['=', ':']) {
            Some((key, value)) => (key, Some(value)),
            None => (option, None),
        };
        let value_of = || match value {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(ParseSecurityError::Empty(option.to_owned())),
        };
        match key {
            "no-new-privileges" => {
                self.no_new_privileges = match value {
                    None | Some("true") => true,
                    Some("false") => false,
                    Some(_) => return Err(ParseSecurityError::Boolean(option.to_owned())),
                }
            }
            "seccomp" => {
                self.seccomp = match value_of()? {
                    "unconfined" => SeccompChoice::Unconfined,
                    "default" => SeccompChoice::Default,
                    path => SeccompChoice::Profile(path.into()),
                }
            }
            "label" if value == Some("disable") => {}
            "label" => return Err(ParseSecurityError::Label(option.to_owned())),
            "apparmor" if value == Some("unconfined") => {}
            "apparmor" => return Err(ParseSecurityError::AppArmor(option.to_owned())),
            "mask" => self.mask.extend(paths(option, value_of()?)?),
            "unmask" if value.is_some_and(|value| value.eq_ignore_ascii_case("all")) => {
                self.unmask.push("ALL".to_owned());
            }
            "unmask" => self.unmask.extend(paths(option, value_of()?)?),
            // Docker's word for the same.
            "systempaths" if value == Some("unconfined") => self.unmask.push("ALL".to_owned()),
            _ => return Err(ParseSecurityError::Unsupported(option.to_owned())),
        }
        Ok(())
    }
}

fn paths(option: &str, list: &str) -> Result<Vec<String>, ParseSecurityError> {
    let absolute = |path: &str| match path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Err(ParseSecurityError::Relative { option: option.to_owned(), path: path.to_owned() }),
    };
    list.split(':').map(absolute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &[&str]) -> Result<SecurityOptions, ParseSecurityError> {
        let mut security = SecurityOptions::default();
        options.iter().try_for_each(|option| security.set(option))?;
        Ok(security)
    }

    #[test]
    fn options_add_up() {
        let options = ["no-new-privileges", "seccomp=/p.json", "mask=/a:/b", "unmask=all", "label=disable"];
        let security = parsed(&options).unwrap();
        assert!(security.no_new_privileges);
        assert_eq!(security.seccomp, SeccompChoice::Profile("/p.json".into()));
        assert_eq!(security.mask, ["/a", "/b"]);
        assert_eq!(security.unmask, ["ALL"]);
        assert_eq!(security.options(), ["no-new-privileges", "seccomp=/p.json", "mask=/a:/b", "unmask=ALL"]);
    }

    #[test]
    fn the_older_spelling_with_a_colon_is_read_too() {
        let security = parsed(&["seccomp:unconfined", "no-new-privileges:true"]).unwrap();
        assert_eq!((security.seccomp, security.no_new_privileges), (SeccompChoice::Unconfined, true));
        assert!(!parsed(&["no-new-privileges=false"]).unwrap().no_new_privileges);
    }

    #[test]
    fn what_cannot_be_granted_is_refused_by_name() {
        let bad = [
            "label=type:x",
            "apparmor=strict",
            "proc-opts=hidepid=2",
            "seccomp=",
            "mask=a",
            "no-new-privileges=x",
        ];
        for option in bad {
            assert!(parsed(&[option]).unwrap_err().to_string().contains(option), "{option}");
        }
    }
}
