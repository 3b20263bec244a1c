//! The bridge, its table and its settings: brought up with the first user, checked for each, taken down with the last.

use rustix::io::Errno;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use crate::Net;
use crate::link::{Link, Mac, mac_from};
use crate::netlink::{NetlinkError, Socket};
use crate::nft::{Element, Table};
use crate::state::{Locked, Network, StateError, boot_id};
use crate::subnet::free;
use crate::sysctl::{self, SysctlError};

/// How many bridges of ours one machine may have: one for each run directory in use.
const MAX_BRIDGES: u32 = 32;
/// How often to begin anew when others set up bridges at the same time.
const MOST_ATTEMPTS: usize = 16;
/// Among how many free networks to choose after somebody was in the way.
const CHOICES: usize = 16;
/// The most that an interface's alias can be: IFALIASZ of linux/if.h, with its zero.
const MOST_ALIAS_BYTES: usize = 255;
const USUAL_MTU: u32 = 1500;
/// How the alias of a bridge ends that has forwarding to switch off after it.
const WAS_OFF: &str = "; net.ipv4.ip_forward was 0";

/// Why there is no bridge.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The kernel refused a step.
    #[error("cannot make the bridge")]
    Kernel(#[from] NetlinkError),
    /// The files under `<run>/net` cannot be used.
    #[error("cannot remember the bridge")]
    State(#[from] StateError),
    /// A setting cannot be read or changed.
    #[error("cannot let packets pass between the bridge and the network")]
    Sysctl(#[from] SysctlError),
    /// Every network that we would take has routes already.
    #[error("every private network that the bridge could use is routed elsewhere already")]
    NoSubnet,
    /// The names are taken.
    #[error("every bridge name from gaufre0 to gaufre{} is taken", MAX_BRIDGES - 1)]
    NoName,
    /// Others kept taking what we were about to take.
    #[error("others took every network for the bridge that was free a moment before, {MOST_ATTEMPTS} times")]
    Contended,
}

/// Makes sure that the bridge works, and gives its index. When it does this costs one look at each part.
pub(crate) fn ensure(net: &Net, locked: &Locked<'_>) -> Result<(Network, u32), BridgeError> {
    let route = Socket::route().map_err(NetlinkError::socket)?;
    if let Some(mut network) = net.state.network()?.filter(|network| network.up) {
        let bridge = network.bridge();
        if let Some(link) = route.link(&bridge)?.filter(|link| link.mac == mark(net)) {
            forward(locked, &mut network)?;
            if !net.with_netfilter(|socket| Table { bridge: &bridge }.exists(socket))? {
                build_table(net, &network)?;
            }
            return Ok((network, link.index));
        }
    }
    bring_up(net, locked, &route)
}

/// Makes everything that is missing, from whatever is there: for the first user, and after somebody took our things away.
///
/// Another run directory, or somebody else's tool, may take the same name or the same addresses at the same time: no lock
/// covers them all. So each looks again once its own bridge can be seen, and whoever then sees another gives way.
pub(crate) fn bring_up(
    net: &Net,
    locked: &Locked<'_>,
    route: &Socket,
) -> Result<(Network, u32), BridgeError> {
    for attempt in 0..MOST_ATTEMPTS {
        let mut network = plan(net, locked, route, attempt)?;
        network.up = true;
        locked.write_network(&network)?;
        let bridge = network.bridge();
        match route.create_bridge(&bridge, mark(net)) {
            Err(error) if !error.is(Errno::EXIST) => return Err(error.into()),
            _ => {}
        }
        let Some(link) = route.link(&bridge)?.filter(|link| link.mac == mark(net)) else { continue };
        set_up(net, locked, route, &mut network, &link)?;
        let settled = !net.state.names()?.is_empty();
        let (routed, _) = route.routed_networks(Some(link.index))?;
        if settled || !routed.iter().any(|other| other.overlaps(&network.subnet)) {
            return Ok((network, link.index));
        }
        tracing::debug!(subnet = %network.subnet, "somebody else has just taken these addresses");
        if let Some(failure) = take_down(net, locked, &mut network).into_iter().next() {
            return Err(failure);
        }
    }
    Err(BridgeError::Contended)
}

fn set_up(
    net: &Net,
    locked: &Locked<'_>,
    route: &Socket,
    network: &mut Network,
    link: &Link,
) -> Result<(), BridgeError> {
    let bridge = network.bridge();
    network.restore_ip_forward |= link.alias.ends_with(WAS_OFF)
        || other_bridges(route, &bridge)?.iter().any(|other| other.alias.ends_with(WAS_OFF));
    forward(locked, network)?;
    let was_off = if network.restore_ip_forward { WAS_OFF } else { "" };
    let alias = alias(net.state.path(), was_off);
    // Before it is up, so that at no instant somebody reaches through it what the rules keep from them.
    build_table(net, network)?;
    sysctl::distrust(&bridge)?;
    route.configure_bridge(&bridge, link.index, &alias, network.subnet)?;
    sysctl::set_route_localnet(&bridge)?;
    for attachment in net.state.attachments()? {
        route.put_on_bridge(&attachment.veth, link.index)?;
        if !attachment.ports.is_empty() {
            route.reflect(&attachment.veth)?;
        }
    }
    Ok(())
}

/// What the bridge is called for people, and how we know later that it `was_off`. Of a long path the end is shown.
fn alias(state: &Path, was_off: &str) -> String {
    let path = state.display().to_string();
    let room = MOST_ALIAS_BYTES - "gaufre, state in ".len() - was_off.len();
    let start = (0..path.len())
        .find(|start| path.is_char_boundary(*start) && path.len() - start <= room)
        .unwrap_or(path.len());
    format!("gaufre, state in {}{was_off}", &path[start..])
}

/// The table with the ports of every attachment, made anew in one step.
pub(crate) fn build_table(net: &Net, network: &Network) -> Result<(), BridgeError> {
    let attachments = net.state.attachments()?;
    let elements: Vec<Element> = attachments
        .iter()
        .flat_map(|attachment| attachment.ports.iter().map(|port| Element::new(port, attachment.ip)))
        .collect();
    let table = network.bridge();
    Ok(net.with_netfilter(|socket| Table { bridge: &table }.rebuild(socket, network.subnet, &elements))?)
}

/// Whether another run directory has the name of our bridge. Ours went without our doing then: somebody removed it, or
/// it was in another network namespace, or we were killed before we had written that it is gone.
pub(crate) fn is_anothers(net: &Net, network: &Network) -> Result<bool, BridgeError> {
    let route = Socket::route().map_err(NetlinkError::socket)?;
    Ok(route.link(&network.bridge())?.is_some_and(|link| link.mac != mark(net)))
}

/// Takes down what [`bring_up`] made, unless it is another's by now. The network is remembered, so that the next one is
/// the same.
///
/// Every step is tried; the failures are returned.
pub(crate) fn take_down(net: &Net, locked: &Locked<'_>, network: &mut Network) -> Vec<BridgeError> {
    let mut failures = match is_anothers(net, network) {
        Ok(true) => Vec::new(),
        Ok(false) => remove(net, network),
        Err(error) => vec![error],
    };
    if failures.is_empty() {
        network.up = false;
        network.restore_ip_forward = false;
        failures.extend(locked.write_network(network).err().map(Into::into));
    }
    failures
}

fn remove(net: &Net, network: &Network) -> Vec<BridgeError> {
    let mut failures: Vec<BridgeError> = Vec::new();
    let bridge = network.bridge();
    let table = net.with_netfilter(|socket| Table { bridge: &bridge }.remove(socket));
    failures.extend(table.err().map(Into::into));
    match Socket::route().map_err(NetlinkError::socket) {
        Ok(route) => {
            if network.restore_ip_forward {
                failures.extend(stop_forwarding(&route, &bridge).err());
            }
            failures.extend(route.remove_link(&bridge).err().map(Into::into));
        }
        Err(error) => failures.push(error.into()),
    }
    failures
}

/// Removes bridges of this run directory that its state does not know: the directory was lost while they were up. One
/// that sandboxes still hang on stays. Gives whether one of them had switched forwarding on.
pub(crate) fn remove_orphans(net: &Net, route: &Socket) -> Result<bool, BridgeError> {
    let mut was_off = false;
    for (orphan, ports) in orphans(net, route)? {
        if ports > 0 {
            continue;
        }
        net.with_netfilter(|socket| Table { bridge: &orphan.name }.remove(socket))?;
        route.remove_link(&orphan.name)?;
        was_off |= orphan.alias.ends_with(WAS_OFF);
    }
    Ok(was_off)
}

/// Bridges with our mark that are not the one in the state, each with the number of its ports.
pub(crate) fn orphans(net: &Net, route: &Socket) -> Result<Vec<(Link, usize)>, BridgeError> {
    let known = net.state.network()?.filter(|network| network.up).map(|network| network.bridge());
    let links = route.links()?;
    let ports = |bridge: &Link| links.iter().filter(|link| link.bridge_index == Some(bridge.index)).count();
    let counted: Vec<usize> = links.iter().map(ports).collect();
    let orphan = |link: &Link| {
        number_of(&link.name).is_some() && link.mac == mark(net) && Some(&link.name) != known.as_ref()
    };
    Ok(links.into_iter().zip(counted).filter(|(link, _)| orphan(link)).collect())
}

fn number_of(bridge: &str) -> Option<u32> {
    bridge.strip_prefix("gaufre")?.parse().ok()
}

/// Mends whatever somebody did to the network, and removes what a lost run directory left.
pub(crate) fn reconcile(net: &Net) -> Result<(), BridgeError> {
    let locked = net.state.lock()?;
    let route = Socket::route().map_err(NetlinkError::socket)?;
    let was_off = remove_orphans(net, &route)?;
    match net.state.network()?.filter(|network| network.up) {
        Some(mut network) if was_off => {
            network.restore_ip_forward = true;
            locked.write_network(&network)?;
        }
        None if was_off => stop_forwarding(&route, "")?,
        _ => {}
    }
    if net.state.names()?.is_empty() || net.state.network()?.is_none() {
        return Ok(());
    }
    bring_up(net, &locked, &route).map(|_| ())
}

/// The network to make: the remembered one if it is still free or has users, else the first free one; after an attempt
/// that somebody disturbed any free one, so that two do not disturb each other for ever.
fn plan(net: &Net, locked: &Locked<'_>, route: &Socket, attempt: usize) -> Result<Network, BridgeError> {
    let remembered = net.state.network()?;
    let mut restore_ip_forward = false;
    if remembered.is_none() {
        locked.clear()?;
        restore_ip_forward = remove_orphans(net, route)?;
    }
    let (routed, uplink) = route.routed_networks(None)?;
    let number = bridge_number(net, route, remembered.as_ref())?;
    let mtu = uplink.map(|index| route.link_at(index)).transpose()?.flatten().and_then(|link| link.mtu);
    let mtu = mtu.filter(|bytes| *bytes != USUAL_MTU);
    let has_users = !net.state.names()?.is_empty();
    if let Some(network) = remembered {
        let free = !routed.iter().any(|other| other.overlaps(&network.subnet));
        let bridge_there = route.link(&network.bridge())?.is_some_and(|link| link.mac == mark(net));
        if has_users || bridge_there || (free && attempt == 0) {
            return Ok(Network { number, mtu, ..network });
        }
    }
    let skipped = if attempt == 0 { 0 } else { any_number() as usize % CHOICES };
    let subnet = free(&routed).nth(skipped).or_else(|| free(&routed).next());
    Ok(Network {
        boot: boot_id()?,
        number,
        subnet: subnet.ok_or(BridgeError::NoSubnet)?,
        mtu,
        last_address: None,
        // Anywhere, because the veth pairs of a network of this number that has just gone live until the kernel has
        // ended their namespaces.
        last_veth: any_number(),
        restore_ip_forward,
        up: true,
    })
}

/// The remembered number, unless the name is somebody else's by now; else that of a bridge of ours whose state was lost;
/// else the first that is free.
fn bridge_number(net: &Net, route: &Socket, remembered: Option<&Network>) -> Result<u32, BridgeError> {
    let orphaned = orphans(net, route)?;
    let orphaned = orphaned.iter().filter_map(|(link, _)| number_of(&link.name));
    for number in remembered.map(|network| network.number).into_iter().chain(orphaned).chain(0..MAX_BRIDGES) {
        let link = route.link(&format!("gaufre{number}"))?;
        if link.is_none_or(|link| link.mac == mark(net)) {
            return Ok(number);
        }
    }
    Err(BridgeError::NoName)
}

/// Switches forwarding on, and remembers first that it was off.
fn forward(locked: &Locked<'_>, network: &mut Network) -> Result<(), BridgeError> {
    if sysctl::ip_forward()? {
        return Ok(());
    }
    network.restore_ip_forward = true;
    locked.write_network(network)?;
    Ok(sysctl::set_ip_forward(true)?)
}

/// Forwarding goes off again, unless the bridge of another run directory still needs it. That one knows by our alias
/// that it was off, and switches it off in its turn.
fn stop_forwarding(route: &Socket, bridge: &str) -> Result<(), BridgeError> {
    if other_bridges(route, bridge)?.is_empty() {
        sysctl::set_ip_forward(false)?;
    }
    Ok(())
}

/// Bridges that other run directories of ours have up.
fn other_bridges(route: &Socket, bridge: &str) -> Result<Vec<Link>, NetlinkError> {
    let ours = |link: &Link| link.name.starts_with("gaufre") && link.mac.starts_with(&mac_from([0; 4])[..2]);
    Ok(route.links()?.into_iter().filter(|link| ours(link) && link.name != bridge).collect())
}

/// The bridge's Ethernet address says whose it is: two run directories (a demo beside the real thing) never take
/// each other's bridge for their own. FNV-1a, because it has to be the same in every version of ours.
pub(crate) fn mark(net: &Net) -> Mac {
    let path = net.state.path().as_os_str().as_encoded_bytes();
    let hash =
        path.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    mac_from(hash.to_be_bytes())
}

fn any_number() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_fits_whatever_the_path_is_and_keeps_its_end() {
        let long = format!("/{}/net", "gö".repeat(300));
        for (path, was_off) in [("/run/gaufre/net", ""), ("/run/gaufre/net", WAS_OFF), (&long, WAS_OFF)] {
            let alias = alias(Path::new(path), was_off);
            assert!(alias.len() <= MOST_ALIAS_BYTES, "{alias}");
            assert!(alias.starts_with("gaufre, ") && alias.ends_with(&format!("/net{was_off}")), "{alias}");
        }
    }
}
