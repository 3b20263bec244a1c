//! The wire form of nf_tables messages: one batch, or one request by itself.
//!
//! Numbers are those of linux/netfilter/nf_tables.h.

use crate::netfilter::{Attributes, NFPROTO_IPV4, frame};
use crate::netlink::{NLM_F_ACK, NetlinkError, Requests, Socket};

const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;

/// Changes to the ruleset that happen all at once or not at all.
#[derive(Debug)]
pub(crate) struct Batch {
    requests: Requests,
}

impl Batch {
    pub(crate) fn new() -> Self {
        let mut requests = Requests::default();
        requests.push(
            "begin a change of nf_tables",
            frame(NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES, None),
        );
        Batch { requests }
    }

    /// Adds one change. `kind` is an `NFT_MSG_*`; `doing` names it in errors.
    pub(crate) fn push(&mut self, doing: &str, kind: u16, flags: u16, attributes: &Attributes) {
        self.requests.push(doing, nft_message(NFPROTO_IPV4, kind, flags, attributes));
    }

    pub(crate) fn commit(mut self, socket: &Socket) -> Result<(), NetlinkError> {
        self.requests.push(
            "commit a change of nf_tables",
            frame(NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES, None),
        );
        socket.carry_out(&self.requests).map(|_| ())
    }
}

/// One request outside a batch, as the GET messages are sent.
pub(crate) fn single(doing: &str, kind: u16, flags: u16, attributes: &Attributes) -> Requests {
    single_of(NFPROTO_IPV4, doing, kind, flags, attributes)
}

/// The same about tables of any family.
pub(crate) fn single_of(family: u8, doing: &str, kind: u16, flags: u16, attributes: &Attributes) -> Requests {
    let mut requests = Requests::default();
    requests.push(doing, nft_message(family, kind, flags | NLM_F_ACK, attributes));
    requests
}

fn nft_message(family: u8, kind: u16, flags: u16, attributes: &Attributes) -> Vec<u8> {
    frame((NFNL_SUBSYS_NFTABLES << 8) | kind, flags, family, 0, Some(attributes))
}
