//! Interfaces, addresses and routes, by rtnetlink (rtnetlink(7)).

mod message;

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::Parseable;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rustix::io::Errno;

use crate::netlink::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NetlinkError, Requests, Socket};
use crate::subnet::Subnet;
use message::{add_address, add_default_route, encode, ipv4_route_dump, named, no_ipv6_address, up};

/// The sandbox's end of its veth pair.
pub(crate) const INSIDE: &str = "eth0";
const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// What we need to know of an interface.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Vec<u8>,
    pub(crate) alias: String,
    pub(crate) mtu: Option<u32>,
    /// Index of the bridge that it is a port of.
    pub(crate) bridge_index: Option<u32>,
    pub(crate) is_up: bool,
}

impl Socket {
    /// The interface of this name, if there is one.
    pub(crate) fn link(&self, name: &str) -> Result<Option<Link>, NetlinkError> {
        self.get_link(format!("look for the interface {name}"), named(name))
    }

    /// The interface with this index, if there is one.
    pub(crate) fn link_at(&self, index: u32) -> Result<Option<Link>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.get_link(format!("look for the interface with index {index}"), message)
    }

    fn get_link(&self, doing: String, message: LinkMessage) -> Result<Option<Link>, NetlinkError> {
        let mut requests = Requests::default();
        requests.push(doing, encode(RouteNetlinkMessage::GetLink(message), 0));
        match self.carry_out(&requests) {
            Ok(answers) => Ok(answers.iter().find_map(|answer| read_link(answer.kind, &answer.payload))),
            Err(error) if error.is(Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every interface of this network namespace.
    pub(crate) fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let mut requests = Requests::default();
        let all = RouteNetlinkMessage::GetLink(LinkMessage::default());
        requests.push("list the interfaces", encode(all, NLM_F_DUMP));
        let answers = self.carry_out(&requests)?;
        Ok(answers.iter().filter_map(|answer| read_link(answer.kind, &answer.payload)).collect())
    }

    /// Makes a bridge, forwarding at once. It has a fixed address: otherwise it would take that of its first port, and
    /// change it under the sandboxes' ARP caches.
    pub(crate) fn create_bridge(&self, name: &str, mac: Mac) -> Result<(), NetlinkError> {
        let settings = vec![
            InfoBridge::StpState(BridgeStpState::Disabled),
            InfoBridge::ForwardDelay(0),
            InfoBridge::MulticastSnooping(false),
        ];
        let mut message = named(name);
        message.attributes.push(LinkAttribute::Address(mac.to_vec()));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(settings)),
        ]));
        let mut requests = Requests::default();
        requests.push(
            format!("make the bridge {name}"),
            encode(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL),
        );
        self.carry_out(&requests).map(|_| ())
    }

    /// Gives the bridge its address and switches it on. What is so already stays.
    pub(crate) fn configure_bridge(
        &self,
        name: &str,
        index: u32,
        alias: &str,
        subnet: Subnet,
    ) -> Result<(), NetlinkError> {
        let mut message = up(index);
        message.attributes.push(LinkAttribute::IfAlias(alias.to_owned()));
        message.attributes.push(no_ipv6_address());
        let mut requests = Requests::default();
        requests
            .push(format!("switch on the bridge {name}"), encode(RouteNetlinkMessage::SetLink(message), 0));
        requests.push(
            format!("give the bridge {name} the address {}", subnet.gateway()),
            encode(
                RouteNetlinkMessage::NewAddress(add_address(index, subnet.gateway(), subnet)),
                NLM_F_CREATE,
            ),
        );
        match self.carry_out(&requests) {
            Err(error) if error.is(Errno::EXIST) => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Makes a veth pair in one request: one end here, up and on the bridge, the other in the sandbox's network
    /// namespace as `eth0`, which only that namespace can switch on (veth refuses before it has both ends).
    pub(crate) fn create_veth(
        &self,
        name: &str,
        bridge_index: u32,
        netns: BorrowedFd<'_>,
        mac: Mac,
        mtu: Option<u32>,
    ) -> Result<(), NetlinkError> {
        let mut peer = named(INSIDE);
        peer.attributes.push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
        peer.attributes.push(LinkAttribute::Address(mac.to_vec()));
        peer.attributes.extend(mtu.map(LinkAttribute::Mtu));
        let mut message = named(name);
        message.attributes.push(LinkAttribute::Controller(bridge_index));
        message.attributes.extend(mtu.map(LinkAttribute::Mtu));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        message::switch_on(&mut message);
        let mut requests = Requests::default();
        requests.push(
            format!("make the veth pair of {name} and {INSIDE}"),
            encode(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL),
        );
        self.carry_out(&requests).map(|_| ())
    }

    /// Lets a port of the bridge get back what it sent itself. Where bridged packets pass the IPv4 rules
    /// (`net.bridge.bridge-nf-call-iptables`) a sandbox that asks for its own published port needs it.
    pub(crate) fn reflect(&self, name: &str) -> Result<(), NetlinkError> {
        let mut message = named(name);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::PortKind(InfoPortKind::Bridge),
            LinkInfo::PortData(InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)])),
        ]));
        let mut requests = Requests::default();
        requests.push(format!("let {name} reach itself"), encode(RouteNetlinkMessage::NewLink(message), 0));
        unless_gone(self.carry_out(&requests).map(|_| ()))
    }

    /// Puts an interface back on the bridge; one that is gone is passed over.
    pub(crate) fn put_on_bridge(&self, name: &str, bridge_index: u32) -> Result<(), NetlinkError> {
        let mut message = named(name);
        message.attributes.push(LinkAttribute::Controller(bridge_index));
        message::switch_on(&mut message);
        let mut requests = Requests::default();
        requests.push(format!("put {name} on the bridge"), encode(RouteNetlinkMessage::SetLink(message), 0));
        unless_gone(self.carry_out(&requests).map(|_| ()))
    }

    /// Gives `eth0` of this namespace its address and default route, and switches loopback on.
    pub(crate) fn configure_inside(&self, address: Ipv4Addr, subnet: Subnet) -> Result<(), NetlinkError> {
        let Some(index) = self.interface_index(INSIDE).map_err(|source| NetlinkError {
            doing: format!("find {INSIDE} in the container"),
            explanation: None,
            source,
        })?
        else {
            return Err(NetlinkError::new(&format!("find {INSIDE} in the container"), Errno::NODEV));
        };
        let mut requests = Requests::default();
        push_loopback_up(&mut requests);
        requests
            .push(format!("switch on {INSIDE}"), encode(RouteNetlinkMessage::SetLink(message::up(index)), 0));
        requests.push(
            format!("give {INSIDE} the address {address}"),
            encode(
                RouteNetlinkMessage::NewAddress(add_address(index, address, subnet)),
                NLM_F_CREATE | NLM_F_EXCL,
            ),
        );
        requests.push(
            format!("set the default route by {}", subnet.gateway()),
            encode(
                RouteNetlinkMessage::NewRoute(add_default_route(index, subnet.gateway())),
                NLM_F_CREATE | NLM_F_EXCL,
            ),
        );
        self.carry_out(&requests).map(|_| ())
    }

    /// Switches loopback on in this network namespace.
    pub(crate) fn loopback_up(&self) -> Result<(), NetlinkError> {
        let mut requests = Requests::default();
        push_loopback_up(&mut requests);
        self.carry_out(&requests).map(|_| ())
    }

    /// Removes an interface; none of that name is fine. The kernel answers after tens of milliseconds.
    pub(crate) fn remove_link(&self, name: &str) -> Result<(), NetlinkError> {
        let mut requests = Requests::default();
        requests.push(
            format!("remove the interface {name}"),
            encode(RouteNetlinkMessage::DelLink(named(name)), 0),
        );
        unless_gone(self.carry_out(&requests).map(|_| ()))
    }

    /// The IPv4 networks that this machine has routes to (its own addresses are among them as /32), and the index of the
    /// interface of the default route.
    pub(crate) fn routed_networks(
        &self,
        except: Option<u32>,
    ) -> Result<(Vec<Subnet>, Option<u32>), NetlinkError> {
        let mut requests = Requests::default();
        requests
            .push("list the routes", encode(RouteNetlinkMessage::GetRoute(ipv4_route_dump()), NLM_F_DUMP));
        let mut networks = Vec::new();
        let mut uplink = None;
        for answer in self.carry_out(&requests)?.iter().filter(|answer| answer.kind == RTM_NEWROUTE) {
            let Ok(route) = RouteMessage::parse(&answer.payload) else { continue };
            let destination = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
                _ => None,
            });
            let interface = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
            match destination {
                Some(_) if interface.is_some() && interface == except => {}
                Some(address) => {
                    networks.push(Subnet::around(address, route.header.destination_prefix_length));
                }
                None => uplink = uplink.or(interface),
            }
        }
        Ok((networks, uplink))
    }
}

fn push_loopback_up(requests: &mut Requests) {
    let mut loopback = named("lo");
    message::switch_on(&mut loopback);
    requests.push("switch on loopback", encode(RouteNetlinkMessage::SetLink(loopback), 0));
}

fn unless_gone(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(error) if error.is(Errno::NODEV) => Ok(()),
        other => other,
    }
}

fn read_link(kind: u16, payload: &[u8]) -> Option<Link> {
    let message = (kind == RTM_NEWLINK).then(|| LinkMessage::parse(payload).ok()).flatten()?;
    let mut link = Link {
        index: message.header.index,
        is_up: message.header.flags.contains(LinkFlags::Up),
        ..Link::default()
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(mac) => link.mac = mac,
            LinkAttribute::IfAlias(alias) => link.alias = alias,
            LinkAttribute::Controller(index) => link.bridge_index = Some(index),
            LinkAttribute::Mtu(bytes) => link.mtu = Some(bytes),
            _ => {}
        }
    }
    Some(link)
}

/// An address that nobody else's interface has: locally administered, then `g`, then four bytes of ours.
pub(crate) fn mac_from(bytes: [u8; 4]) -> Mac {
    let [a, b, c, d] = bytes;
    [0x02, b'g', a, b, c, d]
}

/// The same for an address given to a sandbox: whoever gets it next is found by the same ARP entries.
pub(crate) fn mac_of(address: Ipv4Addr) -> Mac {
    mac_from(address.octets())
}

pub(crate) fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn inet(address: Ipv4Addr) -> IpAddr {
    IpAddr::V4(address)
}
