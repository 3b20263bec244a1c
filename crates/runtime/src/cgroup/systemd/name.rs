//! From `slice:prefix:name` to a unit and its group.

use std::path::{Path, PathBuf};

use super::{Scope, SystemdError, user_manager_group};

/// A scope that need not exist yet, and where its group is below the hierarchy's root.
#[derive(Debug)]
pub(in crate::cgroup) struct Named {
    pub(in crate::cgroup) scope: Scope,
    pub(in crate::cgroup) group: PathBuf,
}

impl Named {
    /// Reads `linux.cgroupsPath`; without one the scope is `gaufre-ID.scope` in the default slice.
    pub(in crate::cgroup) fn new(path: Option<&Path>, id: &str) -> Result<Self, SystemdError> {
        // Root's containers are the system manager's, other users' their own one's.
        let user = !rustix::process::geteuid().is_root();
        let path = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let (slice, unit) = split(&path, id)?;
        let slice = match slice.as_str() {
            "" if user => "user.slice".to_owned(),
            "" => "system.slice".to_owned(),
            _ => slice,
        };
        let base = if user { user_manager_group()? } else { system_manager_group() };
        let group = Path::new(base.trim_matches('/')).join(expand(&slice)?).join(&unit);
        Ok(Self { scope: Scope { unit, slice, user, properties: Vec::new() }, group })
    }
}

fn split(path: &str, id: &str) -> Result<(String, String), SystemdError> {
    let refuse = || SystemdError::Path { path: path.to_owned() };
    let parts: Vec<&str> = path.split(':').collect();
    let (slice, prefix, name) = match parts[..] {
        [""] => ("", "gaufre", id),
        [slice, prefix, name] => (slice, prefix, name),
        _ => return Err(refuse()),
    };
    let unit = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    // systemd.unit(5), "Unit names".
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if name.is_empty() || unit.len() > 255 || unit.starts_with('.') || !unit.bytes().all(plain) {
        return Err(refuse());
    }
    Ok((slice.to_owned(), unit))
}

/// `a-b.slice` is below `a.slice`: systemd.slice(5). The root slice is `-.slice`.
fn expand(slice: &str) -> Result<PathBuf, SystemdError> {
    let refuse = || SystemdError::Slice { slice: slice.to_owned() };
    let stem = slice.strip_suffix(".slice").ok_or_else(refuse)?;
    if stem == "-" {
        return Ok(PathBuf::new());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    if !stem.bytes().all(plain)
        || slice.len() > 255
        || stem.split('-').any(|part| part.is_empty() || part == "..")
    {
        return Err(refuse());
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    Ok(ends.filter_map(|end| stem.get(..end)).map(|name| format!("{name}.slice")).collect())
}

/// The group in which the system's manager has its units: the root, unless systemd itself is in a container.
fn system_manager_group() -> String {
    let groups = std::fs::read_to_string("/proc/1/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    own.strip_suffix("/init.scope").unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_slice_and_scope() {
        let both = |path| split(path, "id").map_err(|error| error.to_string());
        assert_eq!(both("machine.slice:libpod:x"), Ok(("machine.slice".into(), "libpod-x.scope".into())));
        assert_eq!(both(":cri:x"), Ok((String::new(), "cri-x.scope".into())));
        assert_eq!(both("::x"), Ok((String::new(), "x.scope".into())));
        assert_eq!(both(""), Ok((String::new(), "gaufre-id.scope".into())));
        for path in ["/a/b", "a:b", "a:b:c:d", "a:b:", "::../x", "a:b:c/d", "a:.:x"] {
            assert!(both(path).is_err_and(|error| error.contains(path)), "{path}");
        }
    }

    #[test]
    fn a_slice_is_below_those_that_its_name_begins_with() {
        let path = |slice| expand(slice).map(|path| path.display().to_string()).map_err(|_| ());
        assert_eq!(
            path("kubepods-burstable-pod1.slice").unwrap(),
            "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice"
        );
        assert_eq!(path("-.slice").unwrap(), "");
        for slice in ["", ".slice", "a", "-a.slice", "a--b.slice", "a/b.slice", "..-a.slice", "../x.slice"] {
            assert!(path(slice).is_err(), "{slice}");
        }
    }
}
