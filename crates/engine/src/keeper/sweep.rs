//! What all sandboxes share and nobody needs any more is removed: the bridge, its rules, the parents of the cgroups.
//!
//! The kernel takes tens of milliseconds to let an interface go, and holds up whoever wants another meanwhile. So that
//! runs in quick succession do not wait for each other's tidying, it is left a moment: by then there may be another
//! user, and veth pairs have gone with their network namespaces. One keeper tidies for all that end in that moment.

use crate::dirs::Dirs;
use gaufre_net::Net;
use gaufre_runtime::cgroup::Layout;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// How long things stay after their last user.
const SWEEP_AFTER: Duration = Duration::from_millis(1000);

/// Tidies up after the last sandbox; nobody waits for this.
pub(super) fn sweep(dirs: &Dirs) {
    let Some(lock) = try_lock(dirs) else { return };
    std::thread::sleep(SWEEP_AFTER);
    sweep_now(dirs);
    let _ = flock(&lock, FlockOperation::Unlock);
    // One that ended during the sweep left it to us. Costs next to nothing when there is nothing to do.
    sweep_now(dirs);
}

/// Tidies up at once if no keeper is about to: the one that was has been killed.
pub(crate) fn sweep_abandoned(dirs: &Dirs) {
    if dirs.run.join("net").exists()
        && let Some(_lock) = try_lock(dirs)
    {
        sweep_now(dirs);
    }
}

/// `None` when somebody else tidies.
fn try_lock(dirs: &Dirs) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let lock = open(dirs.run_lock("sweep.lock"), flags, Mode::RUSR | Mode::WUSR).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(lock)
}

fn sweep_now(dirs: &Dirs) {
    // A reset that came meanwhile has taken everything away, and nothing is to be made again.
    if dirs.run.join("net").exists()
        && let Ok(net) = Net::open(&dirs.run)
        && let Err(error) = net.sweep()
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "the bridge could not be taken down");
    }
    remove_cgroup_parents();
}

/// Removes the group that is the parent of every sandbox's, where it is empty; rmdir(2) leaves one in use alone.
pub(crate) fn remove_cgroup_parents() {
    let Ok(layout) = Layout::detect() else { return };
    let roots: Vec<PathBuf> = match layout {
        Layout::V2 => vec![PathBuf::from("/sys/fs/cgroup")],
        Layout::V1 { hierarchies, unified } => {
            hierarchies.into_iter().map(|(_, root)| root).chain(unified).collect()
        }
    };
    for root in roots {
        let _ = std::fs::remove_dir(root.join(crate::bundle::CGROUP_PARENT));
    }
}
