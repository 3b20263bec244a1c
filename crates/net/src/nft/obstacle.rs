//! Other people's rules that keep packets of ours from being forwarded.
//!
//! A packet is forwarded only if every table lets it pass: accepting it in our chain does not overrule a `policy drop` in
//! another. With rules of our own only there is nothing to be done about that, except to say whose policy it is.

use super::message::single;
use crate::netfilter::Attributes;
use crate::netlink::{self, NLM_F_DUMP, NetlinkError, Socket};

const GETCHAIN: u16 = 4;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NF_INET_FORWARD: u32 = 2;
const NF_DROP: u32 = 0;
const FAMILIES: [(u8, &str); 2] = [(1, "inet"), (2, "ip")];

/// Base chains for forwarded IPv4 packets whose policy is to drop them, as `nft` would name them.
pub(crate) fn forward_obstacles(socket: &Socket) -> Result<Vec<String>, NetlinkError> {
    let mut requests = single("list the chains of nf_tables", GETCHAIN, NLM_F_DUMP, &Attributes::default());
    // All families at once: `nfgen_family` is the first byte after the header.
    if let Some(family) = requests.bytes.get_mut(netlink::HEADER_LEN) {
        *family = 0;
    }
    let answers = socket.carry_out(&requests)?;
    Ok(answers.iter().filter_map(|answer| obstacle(&answer.payload)).collect())
}

fn obstacle(payload: &[u8]) -> Option<String> {
    let (_, family) = FAMILIES.iter().find(|(number, _)| Some(number) == payload.first())?;
    let attributes = payload.get(4..)?;
    let find =
        |within, kind| netlink::Attributes(within).find(|(found, _)| *found == kind).map(|(_, value)| value);
    let number = |value: &[u8]| value.try_into().ok().map(u32::from_be_bytes);
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
    let hook = number(find(find(attributes, NFTA_CHAIN_HOOK)?, NFTA_HOOK_HOOKNUM)?)?;
    let policy = number(find(attributes, NFTA_CHAIN_POLICY)?)?;
    let table = text(find(attributes, NFTA_CHAIN_TABLE)?);
    let chain = text(find(attributes, NFTA_CHAIN_NAME)?);
    (hook == NF_INET_FORWARD && policy == NF_DROP).then(|| format!("chain {family} {table} {chain}"))
}
