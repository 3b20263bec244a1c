//! Names of entries, made safe: relative, without `.` and `..`, and of a length that the kernel takes.

use super::{LayerError, LayerLimits};

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What a name in a layer means (OCI image specification, "Whiteouts").
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The layer's own root, `.` or `/`.
    Root,
    /// An ordinary file.
    File {
        /// The directory that it is in, without `.` and doubled slashes; empty for the root.
        dir: Vec<u8>,
        /// Its name there.
        name: Vec<u8>,
    },
    /// `.wh.name`: `name` of the layers below is hidden.
    Whiteout {
        /// The directory that it is in.
        dir: Vec<u8>,
        /// What is hidden there.
        name: Vec<u8>,
    },
    /// `.wh..wh..opq`: all of `dir` in the layers below is hidden.
    Opaque {
        /// The directory that hides.
        dir: Vec<u8>,
    },
    /// Bookkeeping of AUFS, which means nothing here.
    Ignored,
}

/// Splits an entry's name into directory and name. An absolute name is taken as relative to the root, as GNU tar
/// does; a name with `..` is refused.
///
/// # Errors
/// The name leads out of the layer, cannot exist, or exceeds a limit.
pub fn meaning(raw: &[u8], limits: &LayerLimits) -> Result<Meaning, LayerError> {
    let mut parts = parts(raw, limits)?;
    if parts.iter().any(|part| part.starts_with(WHITEOUT_META) && *part != OPAQUE) {
        return Ok(Meaning::Ignored);
    }
    let Some(name) = parts.pop() else { return Ok(Meaning::Root) };
    if parts.iter().any(|part| part.starts_with(WHITEOUT)) {
        return Err(LayerError::entry(raw, "it lies below a whiteout"));
    }
    let dir = parts.join(&b'/');
    if name == OPAQUE {
        return Ok(Meaning::Opaque { dir });
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Err(LayerError::entry(raw, "it is a whiteout of no file")),
        Some(hidden) => Ok(Meaning::Whiteout { dir, name: hidden.to_vec() }),
        None => Ok(Meaning::File { dir, name: name.to_vec() }),
    }
}

/// The directory and name that a hard link points at.
///
/// # Errors
/// As of [`meaning`], or it means no file.
pub fn link_target(raw: &[u8], limits: &LayerLimits) -> Result<(Vec<u8>, Vec<u8>), LayerError> {
    match meaning(raw, limits)? {
        Meaning::File { dir, name } => Ok((dir, name)),
        _ => Err(LayerError::entry(raw, "it is the target of a hard link but no file")),
    }
}

fn parts<'a>(raw: &'a [u8], limits: &LayerLimits) -> Result<Vec<&'a [u8]>, LayerError> {
    if raw.is_empty() {
        return Err(LayerError::entry(raw, "it has no name"));
    }
    if raw.contains(&0) {
        return Err(LayerError::entry(raw, "its name contains a NUL"));
    }
    if raw.len() > limits.path_bytes {
        return Err(LayerError::Limit { what: "bytes in a path", limit: limits.path_bytes as u64 });
    }
    let mut parts = Vec::new();
    for part in raw.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(LayerError::entry(raw, "its name contains ..")),
            _ if part.len() > limits.name_bytes => {
                return Err(LayerError::Limit { what: "bytes in a name", limit: limits.name_bytes as u64 });
            }
            _ => parts.push(part),
        }
    }
    if parts.len() > limits.depth {
        return Err(LayerError::Limit { what: "levels of directories", limit: limits.depth as u64 });
    }
    Ok(parts)
}

/// `dir/name`, or `name` alone in the root.
pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<Meaning, LayerError> {
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
