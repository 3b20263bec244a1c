//! The few rule expressions that our ruleset is made of, typed, and how each is put on the wire.

use std::net::Ipv4Addr;

use crate::netfilter::{Attributes, NFPROTO_IPV4};
use crate::subnet::Subnet;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
/// Registers of 4 bytes: `NFT_REG32_00` and the two after it. `NFT_REG_VERDICT` is 0.
const FIRST: u32 = 8;
const SECOND: u32 = 9;
const THIRD: u32 = 10;

/// What a rule does with the packet that it matched.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(&'static str),
}

/// One step of a rule: a match that may end it, or an action.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    /// Came in by this interface.
    FromInterface(&'a str),
    /// Goes out by this interface.
    ToInterface(&'a str),
    /// Goes out by any other interface.
    NotToInterface(&'a str),
    /// Has its source address in this network.
    From(Subnet),
    /// Has its destination address in this network.
    To(Subnet),
    /// Is for an address of this machine (`fib daddr type local`).
    ToThisMachine,
    /// Belongs to, or is related to, a connection that was let through before.
    Established,
    /// Belongs to a connection whose destination was rewritten.
    Redirected,
    /// Rewrites destination address and port to what the map gives for (protocol, destination port).
    RedirectByPort { map: &'a str },
    /// Rewrites destination address and port to what the map gives for (protocol, destination address and port).
    RedirectByAddressAndPort { map: &'a str },
    /// Rewrites the source to the outgoing interface's address.
    Masquerade,
    /// Ends the rule.
    Verdict(Verdict),
}

impl Step<'_> {
    /// Appends the step as `NFTA_LIST_ELEM`s of `NFTA_RULE_EXPRESSIONS`.
    pub(crate) fn encode(&self, list: &mut Attributes) {
        let mut add = |expression: Attributes| {
            list.append(Attributes::default().nest(NFTA_LIST_ELEM, expression));
        };
        match *self {
            Step::FromInterface(name) => {
                add(meta(META_IIFNAME));
                add(compare(EQUAL, &interface(name)));
            }
            Step::ToInterface(name) => {
                add(meta(META_OIFNAME));
                add(compare(EQUAL, &interface(name)));
            }
            Step::NotToInterface(name) => {
                add(meta(META_OIFNAME));
                add(compare(NOT_EQUAL, &interface(name)));
            }
            Step::From(subnet) => in_subnet(12, subnet).into_iter().for_each(add),
            Step::To(subnet) => in_subnet(16, subnet).into_iter().for_each(add),
            Step::ToThisMachine => {
                // NFTA_FIB_DREG, _RESULT (NFT_FIB_RESULT_ADDRTYPE), _FLAGS (NFTA_FIB_F_DADDR); RTN_LOCAL is 2.
                add(named("fib", Attributes::default().number(1, FIRST).number(2, 3).number(3, 2)));
                add(compare(EQUAL, &2u32.to_ne_bytes()));
            }
            // NFT_CT_STATE, bits established and related.
            Step::Established => conntrack_bits(0, 0x2 | 0x4).into_iter().for_each(add),
            // NFT_CT_STATUS, bit IPS_DST_NAT.
            Step::Redirected => conntrack_bits(2, 0x20).into_iter().for_each(add),
            Step::RedirectByPort { map } => {
                add(meta(META_L4PROTO));
                add(payload(TRANSPORT_HEADER, 2, 2, SECOND));
                add(lookup(map));
                add(redirect());
            }
            Step::RedirectByAddressAndPort { map } => {
                add(meta(META_L4PROTO));
                add(payload(NETWORK_HEADER, 16, 4, SECOND));
                add(payload(TRANSPORT_HEADER, 2, 2, THIRD));
                add(lookup(map));
                add(redirect());
            }
            Step::Masquerade => add(named("masq", Attributes::default())),
            Step::Verdict(verdict) => add(immediate(verdict)),
        }
    }
}

const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_L4PROTO: u32 = 16;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

fn named(name: &str, data: Attributes) -> Attributes {
    Attributes::default().text(NFTA_EXPR_NAME, name).nest(NFTA_EXPR_DATA, data)
}

fn value(bytes: &[u8]) -> Attributes {
    Attributes::default().bytes(NFTA_DATA_VALUE, bytes)
}

fn meta(key: u32) -> Attributes {
    named("meta", Attributes::default().number(1, FIRST).number(2, key))
}

fn compare(operator: u32, with: &[u8]) -> Attributes {
    named("cmp", Attributes::default().number(1, FIRST).number(2, operator).nest(3, value(with)))
}

fn payload(base: u32, offset_bytes: u32, len_bytes: u32, register: u32) -> Attributes {
    let data = Attributes::default().number(1, register).number(2, base).number(3, offset_bytes);
    named("payload", data.number(4, len_bytes))
}

/// Keeps only the bits of `mask` (`NFTA_BITWISE_SREG`, `_DREG`, `_LEN`, `_MASK`, `_XOR`).
fn bitwise(mask: [u8; 4]) -> Attributes {
    let data = Attributes::default().number(1, FIRST).number(2, FIRST).number(3, 4);
    named("bitwise", data.nest(4, value(&mask)).nest(5, value(&[0; 4])))
}

fn in_subnet(offset_bytes: u32, subnet: Subnet) -> [Attributes; 3] {
    [
        payload(NETWORK_HEADER, offset_bytes, 4, FIRST),
        bitwise(subnet.mask().octets()),
        compare(EQUAL, &subnet.network().octets()),
    ]
}

fn conntrack_bits(key: u32, bits: u32) -> [Attributes; 3] {
    let load = named("ct", Attributes::default().number(1, FIRST).number(2, key));
    [load, bitwise(bits.to_ne_bytes()), compare(NOT_EQUAL, &0u32.to_ne_bytes())]
}

/// Replaces the key in the registers by what the map holds for it; ends the rule if it holds nothing.
fn lookup(map: &str) -> Attributes {
    named("lookup", Attributes::default().text(1, map).number(2, FIRST).number(3, FIRST))
}

/// Destination NAT (`NFT_NAT_DNAT`) to the address in the first register and the port in the second.
fn redirect() -> Attributes {
    let data = Attributes::default().number(1, 1).number(2, NFPROTO_IPV4.into());
    named("nat", data.number(3, FIRST).number(5, SECOND))
}

fn immediate(verdict: Verdict) -> Attributes {
    let (code, chain) = match verdict {
        Verdict::Drop => (0i32, None),
        Verdict::Accept => (1, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Return => (-5, None),
    };
    let mut inner = Attributes::default().number(NFTA_VERDICT_CODE, code.cast_unsigned());
    if let Some(chain) = chain {
        inner = inner.text(NFTA_VERDICT_CHAIN, chain);
    }
    let data = Attributes::default().nest(NFTA_DATA_VERDICT, inner);
    named("immediate", Attributes::default().number(1, 0).nest(2, data))
}

/// An interface name fills a register of 16 bytes.
fn interface(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    for (to, from) in padded.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    padded
}

/// A map's key: every field in whole registers of 4 bytes, the value at their beginning.
pub(crate) fn key(protocol: u8, address: Option<Ipv4Addr>, port: u16) -> Vec<u8> {
    let mut key = vec![protocol, 0, 0, 0];
    key.extend(address.iter().flat_map(Ipv4Addr::octets));
    key.extend(port.to_be_bytes());
    key.extend([0, 0]);
    key
}

/// A map's value: address and port, as [`key`] lays them out.
pub(crate) fn target(address: Ipv4Addr, port: u16) -> Vec<u8> {
    let mut target = address.octets().to_vec();
    target.extend(port.to_be_bytes());
    target.extend([0, 0]);
    target
}
