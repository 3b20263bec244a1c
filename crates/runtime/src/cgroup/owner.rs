//! Whose a group is. A container that has ended leaves its group empty until it is deleted, and until then another one may
//! take the same group over: deleting the first must not harm the other.
//!
//! The last who took a group notes so in an extended attribute of its directory: `trusted.*`, which only the host's root
//! can change, else `user.*` (on v2 since Linux 5.7). A group without a mark is known by its name only.

use std::path::Path;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::rand::{GetRandomFlags, getrandom};

use super::Cgroup;

const NAMES: [&str; 2] = ["trusted.gaufre.owner", "user.gaufre.owner"];

impl Cgroup {
    /// Makes up a mark that no other group has.
    pub(crate) fn begin_ownership(&mut self) {
        let mut bytes = [0; 16];
        if getrandom(&mut bytes, GetRandomFlags::NONBLOCK) == Ok(bytes.len()) {
            self.owner = Some(format!("{:032x}", u128::from_ne_bytes(bytes)));
        }
    }

    /// Notes in the group, which is there, whose it is from now on.
    pub(super) fn mark(&self) {
        if let (Some(owner), Some(dir)) = (&self.owner, self.dirs().next()) {
            // Where there are no such attributes it goes without.
            let _ =
                NAMES.iter().any(|name| setxattr(dir, *name, owner.as_bytes(), XattrFlags::empty()).is_ok());
        }
    }

    /// Whether another container has taken the group over since.
    pub fn is_anothers(&self) -> bool {
        let Some(owner) = &self.owner else { return false };
        self.dirs().next().and_then(mark_of).is_some_and(|mark| mark != owner.as_bytes())
    }
}

fn mark_of(dir: &Path) -> Option<Vec<u8>> {
    NAMES.iter().find_map(|name| {
        let mut mark = [0; 64];
        let len = getxattr(dir, *name, &mut mark).ok()?;
        mark.get(..len).map(<[u8]>::to_vec)
    })
}
