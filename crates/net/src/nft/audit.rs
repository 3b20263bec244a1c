//! Whether our table in the kernel is what we would make.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::message::single;
use super::{Element, Table, ruleset};
use crate::netfilter::{self, NLA_F_NESTED};
use crate::netlink::{Answer, Attributes, NLM_F_DUMP, NetlinkError, Socket};
use crate::port::Protocol;
use crate::subnet::Subnet;

const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const GETSETELEM: u16 = 13;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;

impl Table<'_> {
    /// What is missing or not ours in the table, a sentence each. `published` has to be in the maps; what is in `passing` may be.
    pub(crate) fn faults(
        &self,
        socket: &Socket,
        subnet: Subnet,
        published: &[Element],
        passing: &[Element],
    ) -> Result<Vec<String>, NetlinkError> {
        let table = self.bridge;
        if !self.exists(socket)? {
            return Ok(vec![format!(
                "the nf_tables table ip {table} is missing: no way out and no published port works"
            )]);
        }
        let mut faults = self.chain_faults(socket, subnet)?;
        for map in [ruleset::PUBLISH_ON, ruleset::PUBLISH_ANY] {
            faults.extend(self.map_faults(socket, map, published, passing)?);
        }
        Ok(faults)
    }

    fn chain_faults(&self, socket: &Socket, subnet: Subnet) -> Result<Vec<String>, NetlinkError> {
        let table = self.bridge;
        let all = dump(socket, "list the chains of nf_tables", GETCHAIN, &netfilter::Attributes::default())?;
        let found: Vec<&[u8]> =
            all.iter().map(body).filter(|chain| text(chain, NFTA_CHAIN_TABLE) == table).collect();
        let rules = dump(socket, "list our rules of nf_tables", GETRULE, &self.name())?;
        let mut faults = Vec::new();
        let wanted = ruleset::chains(table, subnet);
        for chain in &wanted {
            let name = chain.name;
            let Some(there) = found.iter().find(|there| text(there, NFTA_CHAIN_NAME) == name) else {
                faults.push(format!("the chain {name} of the table ip {table} is missing"));
                continue;
            };
            let of_chain = rules.iter().map(body).filter(|rule| text(rule, NFTA_RULE_CHAIN) == name);
            let of_chain: Vec<&[u8]> =
                of_chain.map(|rule| find(rule, NFTA_RULE_EXPRESSIONS).unwrap_or_default()).collect();
            let as_made = holds(there, chain.attributes(table).as_bytes())
                && of_chain.len() == chain.rules.len()
                && of_chain
                    .iter()
                    .zip(&chain.rules)
                    .all(|(there, steps)| same_expressions(there, ruleset::expressions(steps).as_bytes()));
            if !as_made {
                faults.push(format!("the chain {name} of the table ip {table} is not as gaufre made it"));
            }
        }
        for name in found.iter().map(|there| text(there, NFTA_CHAIN_NAME)) {
            if !wanted.iter().any(|chain| chain.name == name) {
                faults.push(format!("the chain {name} of the table ip {table} is not gaufre's"));
            }
        }
        Ok(faults)
    }

    fn map_faults(
        &self,
        socket: &Socket,
        map: &str,
        published: &[Element],
        passing: &[Element],
    ) -> Result<Vec<String>, NetlinkError> {
        let table = self.bridge;
        let answers = match dump(socket, "list the published ports", GETSETELEM, &self.name().text(2, map)) {
            Err(error) if error.is(Errno::NOENT) => {
                return Ok(vec![format!("the map {map} of the table ip {table} is missing")]);
            }
            other => other?,
        };
        let found: HashSet<(Vec<u8>, Vec<u8>)> =
            answers.iter().flat_map(|answer| entries(body(answer))).collect();
        let of_map = |elements: &[Element]| -> HashSet<(Vec<u8>, Vec<u8>)> {
            elements.iter().filter(|element| element.map() == map).map(Element::entry).collect()
        };
        let (wanted, allowed) = (of_map(published), of_map(passing));
        let lost = wanted.difference(&found).map(|entry| {
            let (port, target) = words(entry);
            format!("port {port} of the host does not lead to {target}: the table ip {table} lacks it")
        });
        let foreign = found.iter().filter(|entry| !wanted.contains(*entry) && !allowed.contains(*entry));
        let foreign = foreign.map(|entry| {
            let (port, target) = words(entry);
            format!("port {port} of the host leads to {target}, which no container asked for")
        });
        let mut faults: Vec<String> = lost.chain(foreign).collect();
        faults.sort();
        Ok(faults)
    }
}

fn dump(
    socket: &Socket,
    doing: &str,
    kind: u16,
    attributes: &netfilter::Attributes,
) -> Result<Vec<Answer>, NetlinkError> {
    socket.carry_out(&single(doing, kind, NLM_F_DUMP, attributes))
}

/// The attributes after `struct nfgenmsg`.
fn body(answer: &Answer) -> &[u8] {
    answer.payload.get(4..).unwrap_or_default()
}

fn find(within: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(within).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

fn text(within: &[u8], kind: u16) -> String {
    let value = find(within, kind).unwrap_or_default();
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// Key and value of each element in an answer (`NFTA_SET_ELEM_KEY`, `_DATA`, each with an `NFTA_DATA_VALUE`).
fn entries(answer: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let list = find(answer, NFTA_SET_ELEM_LIST_ELEMENTS).unwrap_or_default();
    let value = |element, kind| find(find(element, kind).unwrap_or_default(), 1).unwrap_or_default().to_vec();
    Attributes(list).map(|(_, element)| (value(element, 1), value(element, 2))).collect()
}

/// A map's entry for the user: the host's port, and where it leads.
fn words((key, target): &(Vec<u8>, Vec<u8>)) -> (String, String) {
    let port = |bytes: &[u8], at| {
        let bytes: Option<[u8; 2]> = bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u16::from_be_bytes)
    };
    let address = |bytes: &[u8], at| {
        let bytes: Option<[u8; 4]> = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from)
    };
    let udp = key.first() == Some(&Protocol::Udp.number());
    let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
    let on = if key.len() > 8 { format!("{}:", address(key, 4)) } else { String::new() };
    let host_port = port(key, if key.len() > 8 { 8 } else { 4 });
    (format!("{on}{host_port}/{protocol}"), format!("{}:{}", address(target, 0), port(target, 4)))
}

fn same_expressions(found: &[u8], wanted: &[u8]) -> bool {
    Attributes(found).count() == Attributes(wanted).count()
        && Attributes(found).zip(Attributes(wanted)).all(|((_, found), (_, wanted))| holds(found, wanted))
}

/// Whether every attribute that we asked for is in what the kernel has. It adds others of its own (handles, defaults).
fn holds(found: &[u8], wanted: &[u8]) -> bool {
    let mut wanted = Attributes(wanted);
    std::iter::from_fn(|| wanted.next_with_flags()).all(|(kind, value)| {
        find(found, kind & !NLA_F_NESTED).is_some_and(|there| {
            if kind & NLA_F_NESTED == 0 { numbered(there) == numbered(value) } else { holds(there, value) }
        })
    })
}

/// The kernel gives the register `NFT_REG32_00` (8), which we write, its older name `NFT_REG_1` (1).
fn numbered(value: &[u8]) -> &[u8] {
    if value == 8u32.to_be_bytes() { &[0, 0, 0, 1] } else { value }
}
