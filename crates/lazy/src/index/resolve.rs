//! From a path to a directory, with the links of the layer followed as the kernel follows them within a root
//! (openat2(2), `RESOLVE_IN_ROOT`; path_resolution(7)).

use super::tree::{Content, InodeId, ROOT, Tree};

/// The most links that the kernel follows for one path.
const MAX_LINKS: usize = 40;

/// What to do about symbolic links on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Refuse,
}

/// Why there is no directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoDirectory {
    /// A name on the way does not exist.
    Missing,
    /// A name on the way is no directory, or there are too many links.
    Impassable,
}

impl Tree {
    /// The directory `path`, counted from the root.
    pub(super) fn find(&self, path: &[u8], links: Links) -> Result<InodeId, NoDirectory> {
        let mut at = ROOT;
        let mut followed = 0;
        // What remains to be walked: the last of it first, as a link's target comes before what stands behind it.
        let mut rest: Vec<&[u8]> = vec![path];
        while let Some(path) = rest.pop() {
            let (part, behind) = match path.iter().position(|&byte| byte == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (path, &b""[..]),
            };
            if !behind.is_empty() {
                rest.push(behind);
            }
            match part {
                b"" | b"." => continue,
                b".." => {
                    at = self.directory(at).map_or(ROOT, |directory| directory.parent);
                    continue;
                }
                _ => {}
            }
            let next = self.child(at, part).ok_or(NoDirectory::Missing)?;
            match &self.inode(next).content {
                Content::Directory(_) => at = next,
                Content::Symlink(target) if links == Links::Follow && followed < MAX_LINKS => {
                    followed += 1;
                    if target.starts_with(b"/") {
                        at = ROOT;
                    }
                    rest.push(target);
                }
                _ => return Err(NoDirectory::Impassable),
            }
        }
        Ok(at)
    }
}
