//! Whether the machine is as the state files say.

use crate::Net;
use crate::attach::Attachment;
use crate::bridge::{self, BridgeError};
use crate::link::Link;
use crate::netlink::{NetlinkError, Socket};
use crate::nft::{Element, Table};
use crate::state::{Network, StateError, read_attachment};
use crate::subnet::Subnet;
use crate::sysctl::{self, SysctlError};

/// Why it cannot be told whether the network is as it should be.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The kernel does not say.
    #[error("cannot look at the network of the containers")]
    Kernel(#[from] NetlinkError),
    /// The bridges cannot be told apart.
    #[error("cannot look at the bridges")]
    Bridge(#[from] BridgeError),
    /// The files under `<run>/net` cannot be used.
    #[error("cannot tell what the network of the containers should be")]
    State(#[from] StateError),
    /// A setting cannot be read.
    #[error("cannot tell whether packets are forwarded")]
    Sysctl(#[from] SysctlError),
}

/// Under the lock, so that nobody of ours is half-way.
pub(crate) fn check(net: &Net) -> Result<Vec<String>, CheckError> {
    let locked = net.state.lock()?;
    let route = Socket::route().map_err(NetlinkError::socket)?;
    let mut faults = orphan_faults(net, &route)?;
    let (mut settled, mut passing) = (Vec::new(), Vec::new());
    for (_, _, path) in net.state.names()? {
        let attachments = if locked.is_under_way(&path) { &mut passing } else { &mut settled };
        attachments.extend(read_attachment(&path)?);
    }
    settled.sort_by_key(|attachment: &Attachment| attachment.ip);
    let Some(network) = net.state.network()?.filter(|_| !settled.is_empty()) else { return Ok(faults) };
    faults.extend(link_faults(net, &route, &network, &settled)?);
    if !sysctl::ip_forward()? {
        faults.push("net.ipv4.ip_forward is off: containers have no way out".to_owned());
    }
    let bridge = network.bridge();
    let (published, passing) = (elements(&settled), elements(&passing));
    faults.extend(net.with_netfilter(|socket| {
        Table { bridge: &bridge }.faults(socket, network.subnet, &published, &passing)
    })?);
    Ok(faults)
}

fn orphan_faults(net: &Net, route: &Socket) -> Result<Vec<String>, CheckError> {
    let words = |(link, ports): (Link, usize)| {
        let name = link.name;
        match ports {
            0 => format!("the bridge {name} is left over from a run directory that was lost"),
            _ => format!(
                "the bridge {name} is left over from a run directory that was lost, and {ports} containers still hang on it"
            ),
        }
    };
    Ok(bridge::orphans(net, route)?.into_iter().map(words).collect())
}

fn link_faults(
    net: &Net,
    route: &Socket,
    network: &Network,
    attachments: &[Attachment],
) -> Result<Vec<String>, CheckError> {
    let name = network.bridge();
    let links = route.links()?;
    let Some(bridge) = links.iter().find(|link| link.name == name) else {
        return Ok(vec![format!("the bridge {name} is missing: no container is connected")]);
    };
    if bridge.mac != bridge::mark(net) {
        return Ok(vec![format!("the bridge {name} is not gaufre's by now: no container is connected")]);
    }
    let mut faults = Vec::new();
    if !bridge.is_up {
        faults.push(format!("the bridge {name} is switched off"));
    }
    let gateway = network.subnet.gateway();
    if !bridge.is_up {
        // The routes that would show its address are gone with it.
    } else if !route.routed_networks(None)?.0.contains(&Subnet::around(gateway, 32)) {
        faults.push(format!("the bridge {name} has lost its address {gateway}"));
    }
    if !sysctl::route_localnet(&name)? {
        faults.push(format!(
            "net.ipv4.conf.{name}.route_localnet is off: published ports do not answer on 127.0.0.1"
        ));
    }
    if sysctl::has_ipv6(&name)? {
        faults.push(format!(
            "net.ipv6.conf.{name}.disable_ipv6 is off: a container can announce itself to this machine as a router"
        ));
    }
    for Attachment { id, veth, .. } in attachments {
        let fault = match links.iter().find(|link| link.name == *veth) {
            None => "is missing: restart the container",
            Some(link) if link.bridge_index != Some(bridge.index) => "is not on the bridge",
            Some(link) if !link.is_up => "is switched off",
            Some(_) => continue,
        };
        faults.push(format!("the interface {veth} of container {id:.12} {fault}"));
    }
    let ours = network.veth_prefix();
    for port in links.iter().filter(|link| link.bridge_index == Some(bridge.index)) {
        if !port.name.starts_with(&ours) {
            faults.push(format!("the interface {} on the bridge {name} is not gaufre's", port.name));
        }
    }
    Ok(faults)
}

fn elements(attachments: &[Attachment]) -> Vec<Element> {
    let of_one = |attachment: &Attachment| {
        let ip = attachment.ip;
        attachment.ports.iter().map(|port| Element::new(port, ip)).collect::<Vec<_>>()
    };
    attachments.iter().flat_map(of_one).collect()
}
