//! Who the workload runs as, by the sandbox's own `/etc/passwd` and `/etc/group`.

use oci_spec::OciSpecError;
use oci_spec::runtime::{User, UserBuilder};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The user that was asked for cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// It is not in the sandbox's `/etc/passwd`.
    #[error("the image has no user {0:?} in its /etc/passwd: use one that it has, or a number")]
    NoSuchUser(String),
    /// It is not in the sandbox's `/etc/group`.
    #[error("the image has no group {0:?} in its /etc/group: use one that it has, or a number")]
    NoSuchGroup(String),
    /// A number is too large.
    #[error("{0:?} is not a valid user or group number")]
    BadNumber(String),
    /// A file is unreadable.
    #[error("cannot read {path} of the image")]
    Read {
        /// Which.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The specification's type refuses it.
    #[error("cannot express the user")]
    Spec(#[from] OciSpecError),
}

/// A user as the kernel wants it, and its home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) additional_gids: Vec<u32>,
    pub(crate) home: String,
}

/// Larger files are not what they say they are.
const LONGEST_FILE_BYTES: u64 = 8 << 20;

/// Looks up `user[:group]`, each a name or a number, and `groups` besides. A named or known user without a group
/// also gets the groups that list it, as login(1) would have it.
pub(crate) fn resolve(
    rootfs: BorrowedFd<'_>,
    user: Option<&str>,
    groups: &[String],
) -> Result<ResolvedUser, UserError> {
    let passwd = read(rootfs, "etc/passwd")?;
    let group = read(rootfs, "etc/group")?;
    let (user, primary) = match user.unwrap_or("0").split_once(':') {
        Some((user, primary)) if !primary.is_empty() => (user, Some(primary)),
        Some((user, _)) => (user, None),
        None => (user.unwrap_or("0"), None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number = number(user)?;
    let entry = passwd
        .lines()
        .map(fields)
        // A number is never a name: an image could call its root user "1000" (CVE-2016-3697).
        .find(|f| number.map_or(f[0] == user, |number| f[2].parse() == Ok(number)));
    let (uid, mut gid, home, name) = match (entry, number) {
        (Some(f), _) => (id(f[2])?, id(f[3])?, f[5].to_owned(), Some(f[0])),
        (None, Some(number)) => (number, 0, String::new(), None),
        (None, None) => return Err(UserError::NoSuchUser(user.to_owned())),
    };
    let mut additional_gids = Vec::new();
    if let Some(primary) = primary {
        gid = find_group(&group, primary)?;
    } else if let Some(name) = name {
        let listed = group.lines().map(fields).filter(|f| f[3].split(',').any(|member| member == name));
        additional_gids
            .extend(listed.filter_map(|f| f[2].parse::<u32>().ok()).filter(|listed| *listed != gid));
    }
    for wanted in groups {
        additional_gids.push(find_group(&group, wanted)?);
    }
    additional_gids.sort_unstable();
    additional_gids.dedup();
    let home = if home.is_empty() { "/".to_owned() } else { home };
    Ok(ResolvedUser { uid, gid, additional_gids, home })
}

impl ResolvedUser {
    /// As in the runtime specification.
    pub(crate) fn to_spec(&self) -> Result<User, OciSpecError> {
        let mut user = UserBuilder::default().uid(self.uid).gid(self.gid).build()?;
        if !self.additional_gids.is_empty() {
            user.set_additional_gids(Some(self.additional_gids.clone()));
        }
        Ok(user)
    }
}

fn find_group(group: &str, wanted: &str) -> Result<u32, UserError> {
    if let Some(number) = number(wanted)? {
        return Ok(number);
    }
    let entry = group.lines().map(fields).find(|f| f[0] == wanted);
    id(entry.ok_or_else(|| UserError::NoSuchGroup(wanted.to_owned()))?[2])
}

/// A number, if the text is one; one that the kernel cannot take (setuid(2) reserves the last) is an error.
fn number(text: &str) -> Result<Option<u32>, UserError> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    id(text).map(Some)
}

fn id(text: &str) -> Result<u32, UserError> {
    text.parse().ok().filter(|id| *id != u32::MAX).ok_or_else(|| UserError::BadNumber(text.to_owned()))
}

/// The first six fields of a line of passwd(5) or group(5), missing ones empty.
fn fields(line: &str) -> [&str; 6] {
    let mut fields = [""; 6];
    for (field, text) in fields.iter_mut().zip(line.split(':')) {
        *field = text;
    }
    fields
}

/// A file of the image, read within its root; empty when there is none.
fn read(rootfs: BorrowedFd<'_>, path: &'static str) -> Result<String, UserError> {
    let fail = |source| UserError::Read { path, source };
    // Nothing but a regular file may be opened in earnest: a FIFO would block, a device would act.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found = match openat2(rootfs, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(found) => found,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(String::new()),
        Err(errno) => return Err(fail(errno.into())),
    };
    let stat = fstat(&found).map_err(|errno| fail(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(fail(io::Error::other("it is not a regular file")));
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd())).map_err(fail)?;
    let mut bytes = Vec::new();
    let len = file.take(LONGEST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(fail)?;
    if u64::try_from(len).unwrap_or(u64::MAX) > LONGEST_FILE_BYTES {
        return Err(fail(io::Error::other("it is larger than 8 MiB")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn root() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(
            dir.path().join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nredis:x:100:101::/var/lib/redis:/bin/false\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("etc/group"), "root:x:0:\nredis:x:101:\ntape:x:26:redis,root\n")
            .unwrap();
        dir
    }

    fn resolved(user: Option<&str>, groups: &[&str]) -> Result<(u32, u32, Vec<u32>, String), UserError> {
        let dir = root();
        let fd = File::open(dir.path()).unwrap();
        let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
        resolve(fd.as_fd(), user, &groups).map(|u| (u.uid, u.gid, u.additional_gids, u.home))
    }

    #[test]
    fn names_and_numbers_find_the_same_user() {
        let redis = (100, 101, vec![26], "/var/lib/redis".to_owned());
        assert_eq!(resolved(Some("redis"), &[]).unwrap(), redis);
        assert_eq!(resolved(Some("100"), &[]).unwrap(), redis);
        assert_eq!(resolved(None, &[]).unwrap(), (0, 0, vec![26], "/root".to_owned()));
        assert_eq!(resolved(Some(""), &[]).unwrap().0, 0);
    }

    #[test]
    fn a_user_called_by_a_number_is_not_that_number() {
        let dir = root();
        std::fs::write(dir.path().join("etc/passwd"), "1000:x:0:0::/root:/bin/sh\n").unwrap();
        let fd = File::open(dir.path()).unwrap();
        assert_eq!(resolve(fd.as_fd(), Some("1000"), &[]).unwrap().uid, 1000);
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let dir = root();
        std::fs::remove_file(dir.path().join("etc/passwd")).unwrap();
        let fd = File::open(dir.path()).unwrap();
        rustix::fs::mknodat(&fd, "etc/passwd", FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(resolve(fd.as_fd(), None, &[]), Err(UserError::Read { .. })));
    }

    #[test]
    fn a_group_given_replaces_those_that_list_the_user() {
        assert_eq!(resolved(Some("redis:root"), &[]).unwrap(), (100, 0, vec![], "/var/lib/redis".to_owned()));
        assert_eq!(resolved(Some("7:8"), &["tape", "9"]).unwrap(), (7, 8, vec![9, 26], "/".to_owned()));
    }

    #[test]
    fn who_is_not_there_is_named() {
        assert!(
            matches!(resolved(Some("nobody"), &[]), Err(UserError::NoSuchUser(name)) if name == "nobody")
        );
        assert!(
            matches!(resolved(Some("0:wheel"), &[]), Err(UserError::NoSuchGroup(name)) if name == "wheel")
        );
        for bad in ["4294967295", "99999999999"] {
            assert!(matches!(resolved(Some(bad), &[]), Err(UserError::BadNumber(_))), "{bad}");
        }
    }

    #[test]
    fn a_link_out_of_the_image_reads_the_images_own_file() {
        let dir = root();
        std::fs::remove_file(dir.path().join("etc/passwd")).unwrap();
        std::os::unix::fs::symlink("../../../../../../etc/passwd-own", dir.path().join("etc/passwd"))
            .unwrap();
        std::fs::write(dir.path().join("etc/passwd-own"), "own:x:7:7::/:\n").unwrap();
        let fd = File::open(dir.path()).unwrap();
        assert_eq!(resolve(fd.as_fd(), Some("own"), &[]).unwrap().uid, 7);
    }
}
