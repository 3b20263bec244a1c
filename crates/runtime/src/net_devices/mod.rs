//! `linux.netDevices`: network devices of the host that become the sandbox's (config-linux.md, "Network Devices",
//! since version 1.3 of the specification).
//!
//! What becomes of them when the sandbox ends is the kernel's business, as the specification has it. One whose making
//! fails gives them back.

mod message;
mod socket;

use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxNamespaceType, LinuxNetDevice};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::namespaces::NamespacePlan;
use crate::step::{Step, StepError};
use message::Address;
use socket::Socket;

/// `IFNAMSIZ` of linux/if.h, less the null at the end.
const LONGEST_NAME: usize = 15;

/// One device: its name here and the one that it gets in the sandbox, where that is another.
#[derive(Clone, Debug)]
pub(crate) struct NetDevicePlan {
    name: String,
    new_name: Option<String>,
}

/// Checks the names, and that there is a network namespace to move them to.
pub(crate) fn plan(
    asked: Option<&HashMap<String, LinuxNetDevice>>,
    namespaces: &NamespacePlan,
) -> Result<Vec<NetDevicePlan>, StepError> {
    let mut devices = Vec::new();
    for (name, device) in asked.into_iter().flatten() {
        let new_name = device.name().clone().filter(|new| !new.is_empty() && new != name);
        for name in std::iter::once(name).chain(&new_name) {
            if !is_name(name) {
                return Err(StepError::rule(format!(
                    "linux.netDevices: \"{name}\" is not the name of a network device"
                )));
            }
        }
        devices.push(NetDevicePlan { name: name.clone(), new_name });
    }
    if !devices.is_empty() && !namespaces.has(LinuxNamespaceType::Network) {
        return Err(StepError::rule("linux.netDevices needs a network namespace"));
    }
    // Always the same order: names that the kernel chooses depend on it.
    devices.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(devices)
}

/// As the kernel's `dev_valid_name`; a `%` only in a template, `%d`.
fn is_name(name: &str) -> bool {
    let plain = name.replacen("%d", "", 1);
    !matches!(name, "" | "." | "..")
        && name.len() <= LONGEST_NAME
        && !plain.contains(['/', ':', '%'])
        && !name.bytes().any(|byte| byte.is_ascii_whitespace() || byte == 0)
}

/// Devices that were moved to a sandbox. Nothing brings them back but [`Moved::put_back`].
#[derive(Debug, Default)]
pub(crate) struct Moved {
    places: Option<Places>,
    devices: Vec<MovedDevice>,
}

/// The two network namespaces.
#[derive(Debug)]
struct Places {
    own: OwnedFd,
    here: Socket,
    there: Socket,
}

#[derive(Debug)]
struct MovedDevice {
    /// Its name here.
    name: String,
    /// Its index there.
    index: u32,
    was_up: bool,
    addresses: Vec<Address>,
}

impl Moved {
    /// Moves `devices` to the network namespace `netns`, in which they are up and have the addresses of global scope
    /// that they were given to keep.
    ///
    /// # Errors
    /// One that is not there, cannot be moved, or whose name is taken. It stays, or is back, here; the others are for
    /// [`Moved::put_back`].
    pub(crate) fn bring(
        &mut self,
        devices: &[NetDevicePlan],
        netns: BorrowedFd<'_>,
    ) -> Result<(), StepError> {
        let what = || "could not enter the container's network namespace for linux.netDevices";
        let own = rustix::fs::open("/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let own = own.step(what)?;
        let here = Socket::open().step(what)?;
        let there = Socket::open_in(netns).step(what)?;
        let places = self.places.insert(Places { own, here, there });
        devices.iter().try_for_each(|device| places.bring(device, netns, &mut self.devices))
    }

    /// Brings all devices back, as they were: a failure is for the log, since another came before.
    pub(crate) fn put_back(self) {
        let Some(places) = self.places else { return };
        for device in self.devices {
            if let Err(error) = places.put_back(&device) {
                let name = &device.name;
                tracing::warn!(%error, "could not give the network device {name} back");
            }
        }
    }
}

impl Places {
    fn bring(
        &self,
        device: &NetDevicePlan,
        netns: BorrowedFd<'_>,
        moved: &mut Vec<MovedDevice>,
    ) -> Result<(), StepError> {
        let name = &device.name;
        let what = || format!("could not move the network device {name} to the container");
        let missing = || StepError::rule(format!("linux.netDevices: there is no network device {name}"));
        let found = self.here.link(name).step(what)?.ok_or_else(missing)?;
        let wanted = device.new_name.as_deref().unwrap_or(&found.name);
        if !wanted.contains("%d") && self.there.link(wanted).step(what)?.is_some() {
            return Err(taken(wanted));
        }
        // Before it is moved: it loses them then.
        let addresses = self.here.addresses(found.index).step(what)?;
        // A name that is in the way for an instant only.
        let passing = self.there.link(&found.name).step(what)?.is_some();
        let passing = passing.then(|| format!("gf{}d{}", std::process::id(), moved.len()));
        self.here.ask(&message::move_link(found.index, netns.as_raw_fd(), passing.as_deref())).step(what)?;
        // It may have another index there.
        let name_there = passing.as_ref().unwrap_or(&found.name);
        let arrived = self.there.link(name_there).step(what)?;
        let index = arrived.ok_or(Errno::NODEV).step(what)?.index;
        moved.push(MovedDevice { name: found.name.clone(), index, was_up: found.is_up, addresses });
        if wanted != name_there {
            match self.there.ask(&message::rename_link(index, wanted)) {
                Err(Errno::EXIST) => return Err(taken(wanted)),
                renamed => renamed.step(what)?,
            };
        }
        let kept = moved.last().into_iter().flat_map(|device| &device.addresses);
        for address in kept.filter(|address| address.is_global()) {
            self.there
                .ask(&message::add_address(index, address))
                .step(|| format!("could not give the network device {name} its address in the container"))?;
        }
        let what = || format!("could not set the network device {name} up in the container");
        self.there.ask(&message::set_link_up(index)).step(what).map(drop)
    }

    fn put_back(&self, device: &MovedDevice) -> rustix::io::Result<()> {
        // Nothing is to be sent from its addresses in between.
        self.there.ask(&message::set_link_down(device.index))?;
        self.there.ask(&message::move_link(device.index, self.own.as_raw_fd(), Some(&device.name)))?;
        let index = self.here.link(&device.name)?.ok_or(Errno::NODEV)?.index;
        for address in &device.addresses {
            match self.here.ask(&message::add_address(index, address)) {
                // The kernel gives some by itself.
                Ok(_) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        if device.was_up {
            self.here.ask(&message::set_link_up(index))?;
        }
        Ok(())
    }
}

fn taken(name: &str) -> StepError {
    StepError::rule(format!("linux.netDevices: there is a network device {name} in the container already"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_kernel_takes() {
        for name in ["eth0", "a", "container_eth0", "eth%d", "%d", "vlan.5"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a:1", "a b", "a\n", "sixteen-letters!", "%s", "%d%d", "100%"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
