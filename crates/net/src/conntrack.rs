//! Connections that the kernel remembers. A UDP client that keeps sending from one port is one connection for ever, which
//! rules that come later do not touch: it would go on talking to a sandbox that is gone, or to nobody.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use crate::netfilter::{Attributes, NFPROTO_IPV4, frame};
use crate::netlink::{self, NLM_F_ACK, NLM_F_DUMP, NetlinkError, Requests, Socket};
use crate::port::{PortMapping, Protocol};

// linux/netfilter/nfnetlink_conntrack.h
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const NLA_F_NESTED: u16 = 0x8000;
/// Which fields of a tuple a filter compares (`CTA_FILTER_FLAG`).
const FILTER_SOURCE_ADDRESS: u32 = 1 << 0;
const FILTER_PROTOCOL: u32 = 1 << 3;
const FILTER_DESTINATION_PORT: u32 = 1 << 5;
/// `IPS_SEEN_REPLY` and `IPS_SRC_NAT`.
const ANSWERED_OR_MASQUERADED: u32 = 0x2 | 0x10;

/// Ends UDP connections to newly published ports that nobody has answered: clients that were there before the sandbox.
pub(crate) fn forget_unanswered(socket: &Socket, ports: &[PortMapping]) -> Result<(), NetlinkError> {
    for port in ports.iter().filter(|port| port.protocol == Protocol::Udp) {
        // CTA_PROTO_NUM, CTA_PROTO_DST_PORT.
        let protocol =
            Attributes::default().bytes(1, &[port.protocol.number()]).bytes(3, &port.host_port.to_be_bytes());
        let filter = filter(CTA_FILTER_ORIG_FLAGS, FILTER_PROTOCOL | FILTER_DESTINATION_PORT);
        let wanted = filter.nest(CTA_TUPLE_ORIG, Attributes::default().nest(CTA_TUPLE_PROTO, protocol));
        forget(socket, &wanted, |status| status & ANSWERED_OR_MASQUERADED == 0)?;
    }
    Ok(())
}

/// Ends every UDP connection that was redirected to a sandbox.
pub(crate) fn forget_sandbox(socket: &Socket, ip: Ipv4Addr) -> Result<(), NetlinkError> {
    // CTA_IP_V4_SRC and CTA_PROTO_NUM.
    let address = Attributes::default().bytes(1, &ip.octets());
    let protocol = Attributes::default().bytes(1, &[Protocol::Udp.number()]);
    let tuple = Attributes::default().nest(CTA_TUPLE_IP, address).nest(CTA_TUPLE_PROTO, protocol);
    let filter = filter(CTA_FILTER_REPLY_FLAGS, FILTER_SOURCE_ADDRESS | FILTER_PROTOCOL);
    forget(socket, &filter.nest(CTA_TUPLE_REPLY, tuple), |_| true)
}

/// Lets the kernel compare (since 5.8), so that a busy machine does not send us its whole table. The flags are in the
/// machine's own byte order.
fn filter(which: u16, flags: u32) -> Attributes {
    let other = CTA_FILTER_ORIG_FLAGS + CTA_FILTER_REPLY_FLAGS - which;
    let inner = Attributes::default().bytes(which, &flags.to_ne_bytes()).bytes(other, &0u32.to_ne_bytes());
    Attributes::default().nest(CTA_FILTER, inner)
}

fn forget(socket: &Socket, wanted: &Attributes, is_stale: impl Fn(u32) -> bool) -> Result<(), NetlinkError> {
    let mut requests = Requests::default();
    requests.push("list connections", message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, wanted));
    for answer in socket.carry_out(&requests)? {
        // `struct nfgenmsg` comes first.
        let Some(attributes) = answer.payload.get(4..) else { continue };
        let find =
            |kind| netlink::Attributes(attributes).find(|(found, _)| *found == kind).map(|(_, value)| value);
        let status = find(CTA_STATUS).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
        let Some(tuple) = find(CTA_TUPLE_ORIG).filter(|_| is_stale(status)) else { continue };
        let mut connection = Attributes::default().bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, tuple);
        if let Some(zone) = find(CTA_ZONE) {
            connection = connection.bytes(CTA_ZONE, zone);
        }
        let mut requests = Requests::default();
        requests.push("end a connection", message(IPCTNL_MSG_CT_DELETE, NLM_F_ACK, &connection));
        match socket.carry_out(&requests) {
            Err(error) if !error.is(Errno::NOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn message(kind: u16, flags: u16, attributes: &Attributes) -> Vec<u8> {
    frame((NFNL_SUBSYS_CTNETLINK << 8) | kind, flags, NFPROTO_IPV4, 0, Some(attributes))
}
