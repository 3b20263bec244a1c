//! The maps, chains and rules of our table. The table in the parent module's documentation shows them as `nft` would.

use std::net::Ipv4Addr;

use super::expression::{Step, Verdict};
use super::message::Batch;
use crate::netfilter::Attributes;
use crate::netlink::NLM_F_CREATE;
use crate::subnet::Subnet;

const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const NEWSET: u16 = 9;
const NLM_F_APPEND: u16 = 0x800;

/// Ports published on every address of the machine, by (protocol, port).
pub(super) const PUBLISH_ANY: &str = "publish_any";
/// Ports published on one address, by (protocol, address, port).
pub(super) const PUBLISH_ON: &str = "publish_on";
const PUBLISH: &str = "publish";

/// `enum nf_inet_hooks`.
#[derive(Clone, Copy)]
enum Hook {
    Prerouting = 0,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

pub(super) struct Chain<'a> {
    pub(super) name: &'static str,
    /// Type, hook and priority; a chain without is only jumped to.
    base: Option<(&'static str, Hook, i32)>,
    pub(super) rules: Vec<Vec<Step<'a>>>,
}

/// Appends everything inside the table to the batch.
pub(super) fn push(batch: &mut Batch, bridge: &str, subnet: Subnet) {
    push_map(batch, bridge, PUBLISH_ANY, 1, &[INET_PROTOCOL, INET_SERVICE]);
    push_map(batch, bridge, PUBLISH_ON, 2, &[INET_PROTOCOL, IPV4_ADDRESS, INET_SERVICE]);
    let chains = chains(bridge, subnet);
    for chain in &chains {
        batch.push("make a chain of nf_tables", NEWCHAIN, NLM_F_CREATE, &chain.attributes(bridge));
    }
    for chain in &chains {
        for rule in &chain.rules {
            push_rule(batch, bridge, chain.name, rule);
        }
    }
}

pub(super) fn chains(bridge: &str, subnet: Subnet) -> Vec<Chain<'_>> {
    let loopback = Subnet::around(Ipv4Addr::LOCALHOST, 8);
    let publish = Step::Verdict(Verdict::Jump(PUBLISH));
    vec![
        Chain {
            name: PUBLISH,
            base: None,
            rules: vec![
                vec![Step::RedirectByAddressAndPort { map: PUBLISH_ON }],
                vec![Step::RedirectByPort { map: PUBLISH_ANY }],
            ],
        },
        Chain {
            // route_localnet on the bridge, which connections from 127.0.0.1 need for their replies, would let a sandbox
            // reach what listens on the host's loopback only (CVE-2020-8558).
            name: "guard",
            base: Some(("filter", Hook::Prerouting, -300)),
            rules: vec![vec![Step::FromInterface(bridge), Step::To(loopback), Step::Verdict(Verdict::Drop)]],
        },
        Chain {
            // A neighbour may not reach a port published on 127.0.0.1 by sending packets for it over the wire.
            name: "prerouting",
            base: Some(("nat", Hook::Prerouting, -100)),
            rules: vec![
                vec![Step::To(loopback), Step::Verdict(Verdict::Return)],
                vec![Step::ToThisMachine, publish],
            ],
        },
        Chain {
            name: "output",
            base: Some(("nat", Hook::Output, -100)),
            rules: vec![vec![Step::ToThisMachine, publish]],
        },
        Chain {
            name: "postrouting",
            base: Some(("nat", Hook::Postrouting, 100)),
            rules: vec![
                vec![Step::From(subnet), Step::NotToInterface(bridge), Step::Masquerade],
                // Hairpin: else the reply would go to the asking sandbox directly, from an address it never asked.
                vec![Step::ToInterface(bridge), Step::From(subnet), Step::Redirected, Step::Masquerade],
                vec![Step::ToInterface(bridge), Step::From(loopback), Step::Masquerade],
            ],
        },
        Chain {
            name: "forward",
            base: Some(("filter", Hook::Forward, 0)),
            rules: vec![
                vec![Step::FromInterface(bridge), Step::Verdict(Verdict::Accept)],
                vec![Step::ToInterface(bridge), Step::Established, Step::Verdict(Verdict::Accept)],
                vec![Step::ToInterface(bridge), Step::Redirected, Step::Verdict(Verdict::Accept)],
                vec![Step::ToInterface(bridge), Step::Verdict(Verdict::Drop)],
            ],
        },
    ]
}

/// Type numbers by which `nft` shows a map's fields, with their lengths; the kernel does not read them.
const IPV4_ADDRESS: u32 = 7;
const INET_PROTOCOL: u32 = 12;
const INET_SERVICE: u32 = 13;

fn push_map(batch: &mut Batch, table: &str, name: &str, id: u32, key_types: &[u32]) {
    let concatenated = |types: &[u32]| types.iter().fold(0, |all, one| (all << 6) | one);
    let len_bytes = |types: &[u32]| types.iter().map(|_| 4).sum::<u32>();
    let data_types = [IPV4_ADDRESS, INET_SERVICE];
    let attributes = Attributes::default()
        .text(1, table)
        .text(2, name)
        .number(3, 0x8) // NFTA_SET_FLAGS: NFT_SET_MAP
        .number(4, concatenated(key_types))
        .number(5, len_bytes(key_types))
        .number(6, concatenated(&data_types))
        .number(7, len_bytes(&data_types))
        .number(10, id);
    batch.push("make a map of nf_tables", NEWSET, NLM_F_CREATE, &attributes);
}

impl Chain<'_> {
    /// How the chain is asked for, without its rules.
    pub(super) fn attributes(&self, table: &str) -> Attributes {
        let attributes = Attributes::default().text(1, table).text(3, self.name);
        let Some((kind, hook, priority)) = self.base else { return attributes };
        let hook = Attributes::default().number(1, hook as u32).number(2, priority.cast_unsigned());
        // NFTA_CHAIN_TYPE, _HOOK, _POLICY (NF_ACCEPT).
        attributes.text(7, kind).nest(4, hook).number(5, 1)
    }
}

fn push_rule(batch: &mut Batch, table: &str, chain: &str, steps: &[Step<'_>]) {
    let attributes = Attributes::default().text(1, table).text(2, chain).nest(4, expressions(steps));
    batch.push("make a rule of nf_tables", NEWRULE, NLM_F_CREATE | NLM_F_APPEND, &attributes);
}

/// `NFTA_RULE_EXPRESSIONS`.
pub(super) fn expressions(steps: &[Step<'_>]) -> Attributes {
    let mut expressions = Attributes::default();
    for step in steps {
        step.encode(&mut expressions);
    }
    expressions
}
