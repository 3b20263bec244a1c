//! The sandbox's view of its cgroup: one cgroup2 mount on v2, a tmpfs with a mount for each hierarchy on v1.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::bind::clone_tree;
use super::filesystem::{attach, make, seal};
use super::options::MountOptions;
use super::root::open_child;
use crate::cgroup::Cgroup;
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// Which group is shown, and whether through a cgroup namespace of the sandbox's own, whose root it is.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) own_namespace: bool,
}

/// Mounts the view on `target`, which `destination` led to.
pub(crate) fn mount(
    target: &OwnedFd,
    destination: &Path,
    options: &MountOptions,
    view: &View<'_>,
) -> Result<(), StepError> {
    let what = || format!("could not mount cgroup at {}", destination.display());
    if view.cgroup.is_v2() {
        let mount = hierarchy(view, None, options.attr).step(what)?;
        set_propagation(&mount, options).step(what)?;
        return attach(mount, target).step(what);
    }
    let read_only = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    let attr = MountAttr { set: options.attr.set & !read_only, ..MountAttr::default() };
    let top = make("tmpfs", None, &[("mode".into(), Some("755".into()))], attr).step(what)?;
    attach(&top, target).step(what)?;
    for controllers in view.cgroup.legacy_controllers() {
        let list = controllers.join(",");
        let name = list.strip_prefix("name=").unwrap_or(&list);
        let mount = hierarchy(view, Some(controllers), options.attr).step(what)?;
        attach(mount, make_dir(&top, name).step(what)?).step(what)?;
        if controllers.len() > 1 {
            // Programs look for /sys/fs/cgroup/cpu whether or not it is mounted together with cpuacct.
            for controller in controllers {
                rustix::fs::symlinkat(name, &top, controller.as_str()).step(what)?;
            }
        }
    }
    if view.cgroup.is_hybrid() {
        let mount = hierarchy(view, None, options.attr).step(what)?;
        attach(mount, make_dir(&top, "unified").step(what)?).step(what)?;
    }
    set_propagation(&top, options).step(what)?;
    if options.attr.set & read_only != 0 { seal(&top) } else { Ok(()) }
}

fn set_propagation(mount: &OwnedFd, options: &MountOptions) -> rustix::io::Result<()> {
    let Some((kind, recursive)) = options.propagation else { return Ok(()) };
    mount_setattr(mount.as_fd(), recursive, &MountAttr::propagation(kind))
}

fn make_dir(top: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::mkdirat(top, name, Mode::from_raw_mode(0o755))?;
    open_child(top.as_fd(), name, OFlags::PATH | OFlags::DIRECTORY)
}

/// A detached mount of one hierarchy (None: v2), showing the sandbox's group as its root.
fn hierarchy(
    view: &View<'_>,
    controllers: Option<&[String]>,
    attr: MountAttr,
) -> rustix::io::Result<OwnedFd> {
    if !view.own_namespace {
        // Without a namespace a new mount would show the host's root: the group's own directory is bound instead.
        let dir = view.cgroup.dir_of(controllers).ok_or(rustix::io::Errno::NOENT)?;
        let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let tree = clone_tree(dir, false)?;
        let attr = MountAttr { propagation: libc::MS_PRIVATE, ..attr };
        mount_setattr(tree.as_fd(), false, &attr)?;
        return Ok(tree);
    }
    match controllers {
        None => make("cgroup2", None, &[], attr),
        Some(controllers) => {
            let mut data: Vec<(String, Option<String>)> = Vec::new();
            for controller in controllers {
                match controller.strip_prefix("name=") {
                    Some(name) => data.extend([("none".into(), None), ("name".into(), Some(name.into()))]),
                    None => data.push((controller.clone(), None)),
                }
            }
            make("cgroup", None, &data, attr)
        }
    }
}
