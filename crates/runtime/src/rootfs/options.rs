//! The option words of a mount (config-linux.md and mount(8)) as mount attributes, propagation and data.

use rustix::mount::MountAttrFlags;

use crate::sys::mount::MountAttr;

/// `MOUNT_ATTR__ATIME`: the bits that hold one access-time mode among several.
const ATIME_MODES: u64 = 0x70;

/// What the options of one mount ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// Some: a bind mount; true: with everything mounted below the source.
    pub(crate) bind: Option<bool>,
    /// Changes to the mount itself.
    pub(crate) attr: MountAttr,
    /// Changes to it and all mounts below it.
    pub(crate) recursive_attr: MountAttr,
    /// Propagation as `MS_*` with its recursion, where the options name one.
    pub(crate) propagation: Option<(u64, bool)>,
    /// Left for the file system: `key=value` or a flag.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// Reads the option words in order, a later one winning. An option that is known and not honoured is the error.
pub(crate) fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<MountOptions, String> {
    let mut options = MountOptions::default();
    for word in words {
        if let Some((flag, set)) = attribute(word) {
            change(&mut options.attr, flag, set);
        } else if let Some((flag, set)) = word.strip_prefix('r').and_then(attribute) {
            change(&mut options.recursive_attr, flag, set);
        } else if let Some((kind, recursive)) = propagation(word) {
            options.propagation = Some((kind, recursive));
        } else {
            match word {
                "bind" => options.bind = options.bind.or(Some(false)),
                "rbind" => options.bind = Some(true),
                "defaults" | "" | "async" | "nomand" | "norelatime" | "nostrictatime" | "noiversion"
                | "loud" => {}
                "idmap" | "ridmap" | "tmpcopyup" | "copy-symlink" | "remount" | "sync" | "dirsync"
                | "mand" | "silent" | "iversion" | "lazytime" | "nolazytime" => return Err(word.to_owned()),
                data => options.data.push(match data.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (data.to_owned(), None),
                }),
            }
        }
    }
    Ok(options)
}

/// The attribute a word names, and whether the word sets or clears it.
fn attribute(word: &str) -> Option<(MountAttrFlags, bool)> {
    Some(match word {
        "ro" => (MountAttrFlags::MOUNT_ATTR_RDONLY, true),
        "rw" => (MountAttrFlags::MOUNT_ATTR_RDONLY, false),
        "nosuid" => (MountAttrFlags::MOUNT_ATTR_NOSUID, true),
        "suid" => (MountAttrFlags::MOUNT_ATTR_NOSUID, false),
        "nodev" => (MountAttrFlags::MOUNT_ATTR_NODEV, true),
        "dev" => (MountAttrFlags::MOUNT_ATTR_NODEV, false),
        "noexec" => (MountAttrFlags::MOUNT_ATTR_NOEXEC, true),
        "exec" => (MountAttrFlags::MOUNT_ATTR_NOEXEC, false),
        "noatime" => (MountAttrFlags::MOUNT_ATTR_NOATIME, true),
        "relatime" | "atime" => (MountAttrFlags::MOUNT_ATTR_RELATIME, true),
        "strictatime" => (MountAttrFlags::MOUNT_ATTR_STRICTATIME, true),
        "nodiratime" => (MountAttrFlags::MOUNT_ATTR_NODIRATIME, true),
        "diratime" => (MountAttrFlags::MOUNT_ATTR_NODIRATIME, false),
        "nosymfollow" => (MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, true),
        "symfollow" => (MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, false),
        _ => return None,
    })
}

fn change(attr: &mut MountAttr, flag: MountAttrFlags, set: bool) {
    let is_mode = flag.is_empty() || u64::from(flag.bits()) & ATIME_MODES != 0;
    let bits = u64::from(flag.bits());
    if is_mode {
        attr.clear |= ATIME_MODES;
        attr.set = attr.set & !ATIME_MODES | bits;
    } else if set {
        attr.set |= bits;
        attr.clear &= !bits;
    } else {
        attr.set &= !bits;
        attr.clear |= bits;
    }
}

fn propagation(word: &str) -> Option<(u64, bool)> {
    Some(match word {
        "private" => (libc::MS_PRIVATE, false),
        "rprivate" => (libc::MS_PRIVATE, true),
        "slave" => (libc::MS_SLAVE, false),
        "rslave" => (libc::MS_SLAVE, true),
        "shared" => (libc::MS_SHARED, false),
        "rshared" => (libc::MS_SHARED, true),
        "unbindable" => (libc::MS_UNBINDABLE, false),
        "runbindable" => (libc::MS_UNBINDABLE, true),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_word_wins_over_an_earlier_one() {
        let options = parse(["ro", "nosuid", "rw", "noatime", "strictatime"]).unwrap();
        assert_eq!(options.attr.set, 0x2 | 0x20);
        assert_eq!(options.attr.clear, 0x1 | ATIME_MODES);
    }

    #[test]
    fn recursive_words_do_not_touch_the_mount_alone() {
        let options = parse(["rbind", "rro", "rslave"]).unwrap();
        assert_eq!(options.bind, Some(true));
        assert_eq!((options.attr.set, options.recursive_attr.set), (0, 1));
        assert_eq!(options.propagation, Some((libc::MS_SLAVE, true)));
    }

    #[test]
    fn an_option_not_honoured_is_named() {
        assert_eq!(parse(["bind", "idmap"]).unwrap_err(), "idmap");
    }

    #[test]
    fn what_is_not_ours_is_left_for_the_file_system() {
        let options = parse(["size=64k", "newinstance"]).unwrap();
        assert_eq!(options.data, [("size".into(), Some("64k".into())), ("newinstance".into(), None)]);
    }
}
