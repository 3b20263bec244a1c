//! Our table of nf_tables: masquerading, published ports, forwarding. Nothing outside that table is ever changed.
//!
//! ```text
//! table ip gaufre0 {
//!     map publish_any { type inet_proto . inet_service : ipv4_addr . inet_service }
//!     map publish_on  { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service }
//!     chain guard       { prerouting, raw      a sandbox may not speak to 127.0.0.0/8 of the host }
//!     chain prerouting  { prerouting, dstnat   from elsewhere to an address of this machine: jump publish }
//!     chain output      { output, dstnat       from this machine to an address of this machine: jump publish }
//!     chain publish     { dnat by publish_on, then by publish_any }
//!     chain postrouting { postrouting, srcnat  masquerade what leaves, loopback and hairpin connections }
//!     chain forward     { forward, filter      out: yes; in: replies and published ports only }
//! }
//! ```
//!
//! Publishing a port is one element of a map; the rules never change.

mod audit;
mod expression;
mod message;
mod obstacle;
mod ruleset;

pub use obstacle::ForwardObstacle;
pub(crate) use obstacle::forward_obstacles;

use std::net::Ipv4Addr;

use rustix::io::Errno;

use crate::netfilter::Attributes;
use crate::netlink::{NLM_F_CREATE, NLM_F_EXCL, NetlinkError, Socket};
use crate::port::PortMapping;
use crate::subnet::Subnet;
use message::{Batch, single};

pub(crate) const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
pub(crate) const DELTABLE: u16 = 2;
const NEWSETELEM: u16 = 12;
const DELSETELEM: u16 = 14;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;
/// An attribute is at most 64 KiB long; one element needs about 50 bytes.
const ELEMENTS_LEN_BYTES: usize = 48 * 1024;

/// A published port as the maps know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    protocol: u8,
    on: Option<Ipv4Addr>,
    host_port: u16,
    to: Ipv4Addr,
    container_port: u16,
}

impl Element {
    pub(crate) fn new(port: &PortMapping, to: Ipv4Addr) -> Self {
        Element {
            protocol: port.protocol.number(),
            on: port.host_ipv4(),
            host_port: port.host_port,
            to,
            container_port: port.container_port,
        }
    }

    /// Its key and value in the map, as the kernel gives them.
    fn entry(&self) -> (Vec<u8>, Vec<u8>) {
        let key = expression::key(self.protocol, self.on, self.host_port);
        (key, expression::target(self.to, self.container_port))
    }

    fn map(&self) -> &'static str {
        if self.on.is_some() { ruleset::PUBLISH_ON } else { ruleset::PUBLISH_ANY }
    }
}

/// Our table, named as the bridge.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) bridge: &'a str,
}

impl Table<'_> {
    pub(crate) fn exists(&self, socket: &Socket) -> Result<bool, NetlinkError> {
        let request = single("look for our table of nf_tables", GETTABLE, 0, &self.name());
        present(socket.carry_out(&request).map(|_| ()))
    }

    /// Makes the table anew with everything in it, whatever state it was in, in one step.
    pub(crate) fn rebuild(
        &self,
        socket: &Socket,
        subnet: Subnet,
        elements: &[Element],
    ) -> Result<(), NetlinkError> {
        let mut batch = Batch::new();
        // Adding first makes the deletion succeed whether or not the table was there.
        batch.push("make our table of nf_tables", NEWTABLE, NLM_F_CREATE, &self.name());
        batch.push("clear our table of nf_tables", DELTABLE, 0, &self.name());
        batch.push("make our table of nf_tables", NEWTABLE, NLM_F_CREATE, &self.name());
        ruleset::push(&mut batch, self.bridge, subnet);
        self.push_elements(&mut batch, "publish a port", NEWSETELEM, NLM_F_CREATE, elements);
        batch.commit(socket)
    }

    /// Publishes ports. Refused as a whole if one of them is published already.
    pub(crate) fn publish(&self, socket: &Socket, elements: &[Element]) -> Result<(), NetlinkError> {
        let mut batch = Batch::new();
        self.push_elements(&mut batch, "publish a port", NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, elements);
        batch.commit(socket)
    }

    /// Takes ports back. Those that are not published are passed over.
    pub(crate) fn withdraw(&self, socket: &Socket, elements: &[Element]) -> Result<(), NetlinkError> {
        let together = self.withdraw_at_once(socket, elements);
        match together {
            Err(error) if error.is(Errno::NOENT) && elements.len() > 1 => {
                // One that is missing undoes the whole batch: take them one by one.
                elements.iter().try_for_each(|element| {
                    present(self.withdraw_at_once(socket, std::slice::from_ref(element))).map(|_| ())
                })
            }
            other => present(other).map(|_| ()),
        }
    }

    fn withdraw_at_once(&self, socket: &Socket, elements: &[Element]) -> Result<(), NetlinkError> {
        let mut batch = Batch::new();
        self.push_elements(&mut batch, "take back a published port", DELSETELEM, 0, elements);
        batch.commit(socket)
    }

    /// Removes the table with everything in it; none being there is fine.
    pub(crate) fn remove(&self, socket: &Socket) -> Result<(), NetlinkError> {
        let mut batch = Batch::new();
        batch.push("remove our table of nf_tables", DELTABLE, 0, &self.name());
        present(batch.commit(socket)).map(|_| ())
    }

    fn name(&self) -> Attributes {
        Attributes::default().text(NFTA_TABLE_NAME, self.bridge)
    }

    fn push_elements(&self, batch: &mut Batch, doing: &str, kind: u16, flags: u16, elements: &[Element]) {
        for map in [ruleset::PUBLISH_ON, ruleset::PUBLISH_ANY] {
            let mut list = Attributes::default();
            for element in elements.iter().filter(|element| element.map() == map) {
                list.append(Attributes::default().nest(NFTA_LIST_ELEM, encode(element, kind == NEWSETELEM)));
                if list.len_bytes() > ELEMENTS_LEN_BYTES {
                    self.push_list(batch, doing, kind, flags, map, std::mem::take(&mut list));
                }
            }
            if list.len_bytes() > 0 {
                self.push_list(batch, doing, kind, flags, map, list);
            }
        }
    }

    fn push_list(&self, batch: &mut Batch, doing: &str, kind: u16, flags: u16, map: &str, list: Attributes) {
        // NFTA_SET_ELEM_LIST_TABLE, _SET, _ELEMENTS.
        let attributes = Attributes::default().text(1, self.bridge).text(2, map).nest(3, list);
        batch.push(doing, kind, flags, &attributes);
    }
}

/// `NFTA_SET_ELEM_KEY` and, where it is put in, `NFTA_SET_ELEM_DATA`.
fn encode(element: &Element, with_target: bool) -> Attributes {
    let (key, target) = element.entry();
    let attributes = Attributes::default().nest(1, Attributes::default().bytes(1, &key));
    if !with_target {
        return attributes;
    }
    attributes.nest(2, Attributes::default().bytes(1, &target))
}

/// Turns "there is no such thing" into false.
fn present(result: Result<(), NetlinkError>) -> Result<bool, NetlinkError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}
