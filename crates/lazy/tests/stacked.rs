//! Indexes under overlayfs: stacked, they hide and show what stacked directories do.

mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::path::PathBuf;

    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_string,
        fsmount, fsopen,
    };

    use crate::support::archive::Archive;
    use crate::support::{Layer, Mounted};

    /// An overlay of the mounts, the top first.
    fn stack(lowers: &[&Mounted]) -> OwnedFd {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        for lower in lowers {
            fsconfig_set_fd(&context, "lowerdir+", lower.fd()).unwrap();
        }
        fsconfig_set_string(&context, "metacopy", "off").unwrap();
        fsconfig_create(&context).unwrap();
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY).unwrap()
    }

    fn files(root: &OwnedFd) -> BTreeMap<String, String> {
        let root = PathBuf::from(format!("/proc/self/fd/{}/.", root.as_raw_fd()));
        let (mut found, mut waiting) = (BTreeMap::new(), vec![root.clone()]);
        while let Some(dir) = waiting.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let name = entry.path().strip_prefix(&root).unwrap().display().to_string();
                if entry.file_type().unwrap().is_dir() {
                    waiting.push(entry.path());
                    found.insert(name + "/", String::new());
                } else {
                    found.insert(name, fs::read_to_string(entry.path()).unwrap());
                }
            }
        }
        found
    }

    #[test]
    fn whiteouts_and_opaque_directories_hide_the_layers_below() {
        let bottom = Archive::default()
            .dir("./")
            .file("kept", b"1")
            .file("gone", b"1")
            .file("changed", b"1")
            .file("merged/a", b"1")
            .file("opaque/a", b"1")
            .file("whole/a", b"1");
        let top = Archive::default()
            .dir("./")
            .file(".wh.gone", b"")
            .file(".wh.whole", b"")
            .file("changed", b"2")
            .file("merged/b", b"2")
            .file("opaque/.wh..wh..opq", b"")
            .file("opaque/b", b"2")
            .file("own/.wh.nothing", b"")
            .file("own/c", b"2");
        let (bottom, top) = (Layer::of_bytes(&bottom.end()), Layer::of_bytes(&top.end()));
        let overlay = stack(&[&top.mount(), &bottom.mount()]);
        let expected = [
            ("changed", "2"),
            ("kept", "1"),
            ("merged/", ""),
            ("merged/a", "1"),
            ("merged/b", "2"),
            ("opaque/", ""),
            ("opaque/b", "2"),
            ("own/", ""),
            ("own/c", "2"),
        ];
        let expected = expected.map(|(name, content)| (name.to_owned(), content.to_owned()));
        assert_eq!(files(&overlay), expected.into());
    }
}
