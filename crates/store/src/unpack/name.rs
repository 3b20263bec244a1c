//! Names of entries, made safe: relative, without `.` and `..`, and of a length that the kernel takes.

use super::{LayerLimits, UnpackError};

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a name in a layer means (OCI image specification, "Whiteouts").
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The layer's own root, `.` or `/`.
    Root,
    /// An ordinary file.
    File { dir: Vec<u8>, name: Vec<u8> },
    /// `.wh.name`: `name` of the layers below is hidden.
    Whiteout { dir: Vec<u8>, name: Vec<u8> },
    /// `.wh..wh..opq`: all of `dir` in the layers below is hidden.
    Opaque { dir: Vec<u8> },
    /// Bookkeeping of AUFS, which means nothing here.
    Ignored,
}

/// Splits an entry's name into directory and name. An absolute name is taken as relative to the root, as GNU tar
/// does; a name with `..` is refused.
pub(crate) fn meaning(raw: &[u8], limits: &LayerLimits) -> Result<Meaning, UnpackError> {
    let mut parts = parts(raw, limits)?;
    if parts.iter().any(|part| part.starts_with(WHITEOUT_META) && *part != OPAQUE) {
        return Ok(Meaning::Ignored);
    }
    let Some(name) = parts.pop() else { return Ok(Meaning::Root) };
    if parts.iter().any(|part| part.starts_with(WHITEOUT)) {
        return Err(UnpackError::entry(raw, "it lies below a whiteout"));
    }
    let dir = parts.join(&b'/');
    if name == OPAQUE {
        return Ok(Meaning::Opaque { dir });
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Err(UnpackError::entry(raw, "it is a whiteout of no file")),
        Some(hidden) => Ok(Meaning::Whiteout { dir, name: hidden.to_vec() }),
        None => Ok(Meaning::File { dir, name: name.to_vec() }),
    }
}

/// The directory and name that a hard link points at.
pub(crate) fn link_target(raw: &[u8], limits: &LayerLimits) -> Result<(Vec<u8>, Vec<u8>), UnpackError> {
    match meaning(raw, limits)? {
        Meaning::File { dir, name } => Ok((dir, name)),
        _ => Err(UnpackError::entry(raw, "it is the target of a hard link but no file")),
    }
}

fn parts<'a>(raw: &'a [u8], limits: &LayerLimits) -> Result<Vec<&'a [u8]>, UnpackError> {
    if raw.is_empty() {
        return Err(UnpackError::entry(raw, "it has no name"));
    }
    if raw.contains(&0) {
        return Err(UnpackError::entry(raw, "its name contains a NUL"));
    }
    if raw.len() > limits.path_bytes {
        return Err(UnpackError::Limit { what: "bytes in a path", limit: limits.path_bytes as u64 });
    }
    let mut parts = Vec::new();
    for part in raw.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(UnpackError::entry(raw, "its name contains ..")),
            _ if part.len() > limits.name_bytes => {
                return Err(UnpackError::Limit { what: "bytes in a name", limit: limits.name_bytes as u64 });
            }
            _ => parts.push(part),
        }
    }
    if parts.len() > limits.depth {
        return Err(UnpackError::Limit { what: "levels of directories", limit: limits.depth as u64 });
    }
    Ok(parts)
}

/// `dir/name`, or `name` alone in the root.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<Meaning, UnpackError> {
        meaning(raw.as_bytes(), &LayerLimits::default())
    }

    #[test]
    fn names_that_leave_the_layer_are_refused_or_made_relative() {
        for bad in ["..", "../x", "a/../../x", "a/..", "/..", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(
            read("/etc//./passwd").unwrap(),
            Meaning::File { dir: b"etc".to_vec(), name: b"passwd".to_vec() }
        );
        assert_eq!(read("./").unwrap(), Meaning::Root);
        assert_eq!(read("/").unwrap(), Meaning::Root);
    }

    #[test]
    fn whiteouts_are_told_from_files() {
        assert_eq!(read("a/.wh.b").unwrap(), Meaning::Whiteout { dir: b"a".to_vec(), name: b"b".to_vec() });
        assert_eq!(read("a/.wh..wh..opq").unwrap(), Meaning::Opaque { dir: b"a".to_vec() });
        assert_eq!(read(".wh..wh.plnk/1.2").unwrap(), Meaning::Ignored);
        for bad in [".wh.", "a/.wh..", ".wh...", "a/.wh.b/c", ".wh..wh..opq/x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
