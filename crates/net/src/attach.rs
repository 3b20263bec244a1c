//! Connecting a sandbox to the bridge.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::bridge::{BridgeError, build_table, ensure};
use crate::link::{INSIDE, mac_of, mac_text};
use crate::netlink::{NetlinkError, Socket};
use crate::netns::{NetnsError, route_socket_in};
use crate::nft::{Element, Table};
use crate::port::PortMapping;
use crate::reserve::{PortError, reserve};
use crate::state::{Network, StateError};
use crate::subnet::Subnet;
use crate::sysctl;
use crate::{Net, conntrack, release};

/// What is asked of [`Net::attach`].
#[derive(Clone, Copy, Debug)]
pub struct AttachRequest<'a> {
    /// The sandbox: 1 to 128 letters, digits, `-`, `_` and `.`, not beginning with a dot.
    pub id: &'a str,
    /// Its network namespace, in which there is no `eth0` yet.
    pub netns: BorrowedFd<'a>,
    /// Host ports that are to lead to it.
    pub ports: &'a [PortMapping],
}

/// A sandbox's place on the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The sandbox.
    pub id: String,
    /// The interface inside the sandbox.
    pub interface: String,
    /// Its other end, on this machine.
    pub veth: String,
    /// The sandbox's address.
    pub ip: Ipv4Addr,
    /// How many bits of it name the network.
    pub prefix_len: u8,
    /// The bridge's address: the sandbox's way out, and how it reaches this machine.
    pub gateway: Ipv4Addr,
    /// The interface's Ethernet address.
    pub mac: String,
    /// The published ports, with real numbers for those that were left to us.
    pub ports: Vec<PortMapping>,
}

/// What [`Net::attach`] gives back.
#[derive(Debug)]
pub struct Attached {
    /// The sandbox's place on the bridge; it is on disk too.
    pub attachment: Attachment,
    /// Bound sockets that hold the host's ports: keep them open for as long as the sandbox lives.
    pub reservations: Vec<OwnedFd>,
}

/// Why a sandbox was not connected. Nothing of the attempt is left.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// An id that cannot name a file.
    #[error("`{0}` cannot name a container")]
    BadId(String),
    /// It is connected already.
    #[error("container {0} is connected to the bridge already")]
    Attached(String),
    /// A port cannot be published.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A port has been published by another sandbox whose keeper is gone.
    #[error("port {port} of the host is published by container {by}")]
    Published {
        /// The mapping that was asked for.
        port: PortMapping,
        /// Who has it.
        by: String,
    },
    /// The network has no address left.
    #[error("every address of {0} is in use")]
    Full(Subnet),
    /// The bridge is not there and cannot be made.
    #[error("cannot set up the network of the containers")]
    Bridge(#[from] BridgeError),
    /// The files under `<run>/net` cannot be used.
    #[error("cannot record the network of container {id}")]
    State {
        /// The sandbox.
        id: String,
        /// What is wrong.
        #[source]
        source: StateError,
    },
    /// The sandbox's own network namespace refused.
    #[error("cannot connect container {id}")]
    Netns {
        /// The sandbox.
        id: String,
        /// What is wrong.
        #[source]
        source: NetnsError,
    },
    /// The kernel refused.
    #[error("cannot connect container {id}")]
    Kernel {
        /// The sandbox.
        id: String,
        /// What it refused.
        #[source]
        source: NetlinkError,
    },
}

impl AttachError {
    /// What the user can do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            AttachError::Port(PortError::InUse { .. } | PortError::Twice { .. }) => Some(
                "publish it under another number, or leave the host's port out to have a free one picked",
            ),
            AttachError::Port(PortError::Ipv6(_)) => {
                Some("publish it on an IPv4 address, or on none for all of them")
            }
            AttachError::Port(PortError::NotOurs(_)) => Some("`ip addr` lists this machine's addresses"),
            AttachError::Published { .. } => Some("stop or remove that container, or publish another port"),
            AttachError::Bridge(BridgeError::NoSubnet) => Some(
                "a route to 10.0.0.0/8 and all of 172.16.0.0/12 and 192.168.0.0/16 leaves nothing; narrow one of them",
            ),
            _ => None,
        }
    }
}

/// Reserves the ports, takes an address, then connects. What was done is undone if a later step fails.
pub(crate) fn attach(net: &Net, request: &AttachRequest<'_>) -> Result<Attached, AttachError> {
    check_id(request.id)?;
    let (ports, reservations) = reserve(request.ports)?;
    let (network, bridge_index, attachment, under_way) = take_address(net, request.id, ports)?;
    match connect(net, request, &network, bridge_index, &attachment) {
        Ok(()) => {
            drop(under_way);
            Ok(Attached { attachment, reservations })
        }
        Err(error) => {
            drop(under_way);
            if let Err(left) = release::detach(net, request.id) {
                tracing::warn!(id = request.id, "cannot undo a failed attach: {left}");
            }
            Err(error)
        }
    }
}

/// The part under the lock: the network is there, the address is ours and recorded. From here on a crash leaves
/// something that [`Net::gc`] finds.
fn take_address(
    net: &Net,
    id: &str,
    ports: Vec<PortMapping>,
) -> Result<(Network, u32, Attachment, File), AttachError> {
    let state = |source| AttachError::State { id: id.to_owned(), source };
    let locked = net.state.lock().map_err(state)?;
    let (mut network, bridge_index) = ensure(net, &locked)?;
    let names = net.state.names().map_err(state)?;
    if names.iter().any(|(_, name, _)| name == id) {
        return Err(AttachError::Attached(id.to_owned()));
    }
    let taken = names.into_iter().map(|(address, _, _)| address).collect();
    let ip =
        network.subnet.next_free(network.last_address, &taken).ok_or(AttachError::Full(network.subnet))?;
    network.last_address = Some(ip);
    network.last_veth = network.last_veth.wrapping_add(1);
    let attachment = Attachment {
        id: id.to_owned(),
        interface: INSIDE.to_owned(),
        veth: format!("{}{:x}", network.veth_prefix(), network.last_veth),
        ip,
        prefix_len: network.subnet.prefix_len(),
        gateway: network.subnet.gateway(),
        mac: mac_text(mac_of(ip)),
        ports,
    };
    locked.write_network(&network).map_err(state)?;
    let under_way = locked.write_attachment(&attachment).map_err(state)?;
    Ok((network, bridge_index, attachment, under_way))
}

fn connect(
    net: &Net,
    request: &AttachRequest<'_>,
    network: &Network,
    bridge_index: u32,
    attachment: &Attachment,
) -> Result<(), AttachError> {
    let id = || request.id.to_owned();
    let kernel = |source| AttachError::Kernel { id: id(), source };
    let socket = Socket::route().map_err(|source| kernel(NetlinkError::socket(source)))?;
    socket
        .create_veth(&attachment.veth, bridge_index, request.netns, mac_of(attachment.ip), network.mtu)
        .map_err(kernel)?;
    // The bridge has none either: nothing of this machine talks IPv6 to the sandbox, not even about itself.
    sysctl::disable_ipv6(&attachment.veth).map_err(|error| AttachError::Bridge(error.into()))?;
    let inside = route_socket_in(request.netns).map_err(|source| AttachError::Netns { id: id(), source })?;
    inside
        .configure_inside(attachment.ip, network.subnet)
        .map_err(|source| AttachError::Netns { id: id(), source: NetnsError::Configure(source) })?;
    if attachment.ports.is_empty() {
        return Ok(());
    }
    socket.reflect(&attachment.veth).map_err(kernel)?;
    let elements: Vec<Element> =
        attachment.ports.iter().map(|port| Element::new(port, attachment.ip)).collect();
    let bridge = network.bridge();
    match net.with_netfilter(|socket| Table { bridge: &bridge }.publish(socket, &elements)) {
        Err(error) if error.is(Errno::EXIST) => {
            if let Some(refusal) = published_by_another(net, attachment) {
                return Err(refusal);
            }
            // No attachment accounts for what is in the way: the table is out of step with the state files.
            let _locked = net.state.lock().map_err(|source| AttachError::State { id: id(), source })?;
            build_table(net, network)?;
        }
        other => other.map_err(kernel)?,
    }
    net.with_netfilter(|socket| conntrack::forget_unanswered(socket, &attachment.ports)).map_err(kernel)
}

/// The reservation succeeded but the rule is there: a sandbox whose keeper was killed still has the port.
fn published_by_another(net: &Net, attachment: &Attachment) -> Option<AttachError> {
    let others = net.state.attachments().ok()?;
    others.iter().filter(|other| other.id != attachment.id).find_map(|other| {
        let same = |mine: &&PortMapping| {
            other.ports.iter().any(|theirs| {
                (theirs.host_ipv4(), theirs.host_port, theirs.protocol)
                    == (mine.host_ipv4(), mine.host_port, mine.protocol)
            })
        };
        attachment
            .ports
            .iter()
            .find(same)
            .map(|port| AttachError::Published { port: *port, by: other.id.clone() })
    })
}

fn check_id(id: &str) -> Result<(), AttachError> {
    let fits = (1..=128).contains(&id.len()) && !id.starts_with('.');
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits && plain { Ok(()) } else { Err(AttachError::BadId(id.to_owned())) }
}
