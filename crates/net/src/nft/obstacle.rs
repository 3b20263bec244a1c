//! Other people's rules that keep packets of ours from being forwarded.
//!
//! A packet is forwarded only if every table lets it pass: accepting it in our chain does not overrule a `policy drop` in
//! another. With rules of our own only there is nothing to be done about that, except to say whose chain it is.

use std::fmt;

use super::message::single_of;
use crate::netfilter::Attributes;
use crate::netlink::{self, Answer, NLM_F_DUMP, NetlinkError, Socket};
use crate::state::BRIDGES;

const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NF_INET_FORWARD: u32 = 2;
const NF_DROP: u32 = 0;
const ALL_FAMILIES: u8 = 0;
const FAMILIES: [(u8, &str); 2] = [(1, "inet"), (2, "ip")];

/// A chain of somebody else's that drops or rejects forwarded packets unless a rule of theirs lets them pass, and no rule
/// of that table names a bridge of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardObstacle {
    family: &'static str,
    table: String,
    chain: String,
}

/// As `nft` names it: `chain ip filter FORWARD`.
impl fmt::Display for ForwardObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {} {} {}", self.family, self.table, self.chain)
    }
}

impl ForwardObstacle {
    /// Commands with which the user lets the packets of our bridges pass.
    #[must_use]
    pub fn remedy(&self) -> Vec<String> {
        let Self { family, table, chain } = self;
        if table == "firewalld" {
            return vec![format!("firewall-cmd --zone=trusted --add-interface={BRIDGES}0")];
        }
        ["iifname", "oifname"]
            .map(|way| format!("nft insert rule {family} {table} {chain} {way} '\"{BRIDGES}*\"' accept"))
            .into()
    }
}

/// A base chain for forwarded IPv4 packets in a table of somebody else's.
struct ForwardChain {
    family: u8,
    drops_by_policy: bool,
    names: ForwardObstacle,
}

/// The chains that keep packets of ours from being forwarded.
pub(crate) fn forward_obstacles(socket: &Socket) -> Result<Vec<ForwardObstacle>, NetlinkError> {
    let chains =
        dump(socket, "list the chains of nf_tables", GETCHAIN, ALL_FAMILIES, &Attributes::default())?;
    let mut found = Vec::new();
    for chain in chains.iter().filter_map(|answer| forward_chain(&answer.payload)) {
        let name = Attributes::default().text(NFTA_RULE_TABLE, &chain.names.table);
        let rules = dump(socket, "list the rules of nf_tables", GETRULE, chain.family, &name)?;
        let expressions =
            |rule: &Answer| find(body(rule), NFTA_RULE_EXPRESSIONS).unwrap_or_default().to_vec();
        // Whoever names our bridge there has thought of us.
        let names_us =
            |rule: &Answer| expressions(rule).windows(BRIDGES.len()).any(|bytes| bytes == BRIDGES.as_bytes());
        let of_chain = |rule: &&Answer| text(body(rule), NFTA_RULE_CHAIN) == chain.names.chain;
        let ends_dropping = || rules.iter().rfind(of_chain).is_some_and(|rule| drops_all(&expressions(rule)));
        if !rules.iter().any(names_us) && (chain.drops_by_policy || ends_dropping()) {
            found.push(chain.names);
        }
    }
    Ok(found)
}

fn forward_chain(payload: &[u8]) -> Option<ForwardChain> {
    let &(family, name) = FAMILIES.iter().find(|(number, _)| Some(number) == payload.first())?;
    let attributes = payload.get(4..)?;
    let hook = number(find(find(attributes, NFTA_CHAIN_HOOK)?, NFTA_HOOK_HOOKNUM)?)?;
    let policy = number(find(attributes, NFTA_CHAIN_POLICY)?)?;
    let table = text(attributes, NFTA_CHAIN_TABLE);
    let chain = text(attributes, NFTA_CHAIN_NAME);
    (hook == NF_INET_FORWARD && !table.starts_with(BRIDGES)).then_some(ForwardChain {
        family,
        drops_by_policy: policy == NF_DROP,
        names: ForwardObstacle { family: name, table, chain },
    })
}

/// Whether a rule drops or rejects whatever comes to it: it does nothing else, but perhaps counts it.
fn drops_all(expressions: &[u8]) -> bool {
    let mut drops = false;
    for (_, expression) in netlink::Attributes(expressions) {
        let data = find(expression, NFTA_EXPR_DATA).unwrap_or_default();
        match text(expression, NFTA_EXPR_NAME).as_str() {
            "counter" | "log" => {}
            "reject" => drops = true,
            // iptables' own: NFTA_TARGET_NAME.
            "target" if text(data, 1) == "REJECT" => drops = true,
            // NFTA_IMMEDIATE_DATA, NFTA_DATA_VERDICT, NFTA_VERDICT_CODE.
            "immediate" => {
                let verdict = find(data, 2).and_then(|data| find(data, 2)).and_then(|data| find(data, 1));
                if verdict.and_then(number) != Some(NF_DROP) {
                    return false;
                }
                drops = true;
            }
            _ => return false,
        }
    }
    drops
}

fn dump(
    socket: &Socket,
    doing: &str,
    kind: u16,
    family: u8,
    attributes: &Attributes,
) -> Result<Vec<Answer>, NetlinkError> {
    socket.carry_out(&single_of(family, doing, kind, NLM_F_DUMP, attributes))
}

/// The attributes after `struct nfgenmsg`.
fn body(answer: &Answer) -> &[u8] {
    answer.payload.get(4..).unwrap_or_default()
}

fn find(within: &[u8], kind: u16) -> Option<&[u8]> {
    netlink::Attributes(within).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

fn text(within: &[u8], kind: u16) -> String {
    String::from_utf8_lossy(find(within, kind).unwrap_or_default()).trim_end_matches('\0').to_owned()
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}
