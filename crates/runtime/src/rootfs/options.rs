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
    /// Some: with IDs mapped; true: the mounts below the source as well.
    pub(crate) idmap: Option<bool>,
    /// What the directory held before is copied into the new tmpfs.
    pub(crate) copy_up: bool,
    /// No new mount: the one that is there is changed.
    pub(crate) remount: bool,
    /// Left for the file system: `key=value` or a flag.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// Reads the option words in order, a later one winning. An option that is known and not honoured is the error.
pub(crate) fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<MountOptions, String> {
    let mut options = MountOptions::default();
    for word in words.into_iter().flat_map(split) {
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
                "idmap" => options.idmap = options.idmap.or(Some(false)),
                "ridmap" => options.idmap = Some(true),
                "tmpcopyup" => options.copy_up = true,
                "remount" => options.remount = true,
                // Without effect on any kernel of today, or on anything but the kernel's log.
                "defaults" | "" | "async" | "nomand" | "norelatime" | "nostrictatime" | "noiversion"
                | "loud" | "silent" | "nolazytime" => {}
                "copy-symlink" => return Err(word.to_owned()),
                data => options.data.push(match data.split_once('=') {
                    // The quotes have kept a label's commas together; they are no part of it.
                    Some((key, value)) => (key.to_owned(), Some(value.trim_matches('"').to_owned())),
                    None => (data.to_owned(), None),
                }),
            }
        }
    }
    if options.bind.is_none() {
        // One mount of a new file system has nothing below it.
        let all = std::mem::take(&mut options.recursive_attr);
        options.attr.set = options.attr.set & !all.clear | all.set;
        options.attr.clear = options.attr.clear & !all.set | all.clear;
    }
    Ok(options)
}

/// Several options in one word, as podman gives an overlay's: at each comma that no backslash and no quotes keep.
fn split(word: &str) -> impl Iterator<Item = &str> {
    let (mut escaped, mut quoted) = (false, false);
    word.split(move |letter: char| {
        let ends = letter == ',' && !escaped && !quoted;
        quoted ^= letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })
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
    fn one_word_may_hold_several_options() {
        let data = parse([r#"lowerdir=/a\,b:/c,ro,context="x:c1,c2""#]).unwrap();
        assert_eq!(data.attr.set, 1);
        let values: Vec<_> = data.data.iter().filter_map(|(_, value)| value.as_deref()).collect();
        assert_eq!(values, [r"/a\,b:/c", "x:c1,c2"]);
    }

    #[test]
    fn recursive_words_do_not_touch_the_mount_alone() {
        let options = parse(["rbind", "rro", "rslave"]).unwrap();
        assert_eq!(options.bind, Some(true));
        assert_eq!((options.attr.set, options.recursive_attr.set), (0, 1));
        assert_eq!(options.propagation, Some((libc::MS_SLAVE, true)));
    }

    #[test]
    fn mapping_ids_of_everything_wins_over_mapping_those_of_one() {
        for words in [["idmap", "ridmap"], ["ridmap", "idmap"]] {
            assert_eq!(parse(words).unwrap().idmap, Some(true));
        }
    }

    #[test]
    fn an_option_not_honoured_is_named() {
        assert_eq!(parse(["bind", "copy-symlink"]).unwrap_err(), "copy-symlink");
    }

    #[test]
    fn what_is_not_ours_is_left_for_the_file_system() {
        let options = parse(["size=64k", "newinstance"]).unwrap();
        assert_eq!(options.data, [("size".into(), Some("64k".into())), ("newinstance".into(), None)]);
    }
}
