//! The wire form of netfilter's messages, which nf_tables and conntrack share.
//!
//! Numbers are those of linux/netfilter/nfnetlink.h. Attributes are big endian unless said otherwise.

use crate::netlink::{HEADER_LEN, NLM_F_REQUEST};

pub(crate) const NLA_F_NESTED: u16 = 0x8000;
/// Our rules are for IPv4.
pub(crate) const NFPROTO_IPV4: u8 = 2;

/// A growing list of netlink attributes.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Vec<u8>);

impl Attributes {
    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let len_bytes = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&len_bytes.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A string with its closing NUL.
    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(crate) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn nest(self, kind: u16, inner: Attributes) -> Self {
        let mut outer = self.bytes(kind | NLA_F_NESTED, &[]);
        let at = outer.0.len() - 4;
        let len_bytes = u16::try_from(inner.0.len() + 4).unwrap_or(u16::MAX);
        outer.0[at..at + 2].copy_from_slice(&len_bytes.to_ne_bytes());
        outer.append(inner);
        outer
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn append(&mut self, other: Attributes) {
        self.0.extend(other.0);
    }
}

/// `struct nlmsghdr`, `struct nfgenmsg`, attributes. The sequence number is set by [`Requests::push`].
pub(crate) fn frame(
    kind: u16,
    flags: u16,
    family: u8,
    resource: u16,
    attributes: Option<&Attributes>,
) -> Vec<u8> {
    let body = attributes.map_or(&[][..], |attributes| &attributes.0);
    let len_bytes = u32::try_from(HEADER_LEN + 4 + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER_LEN + 4 + body.len());
    message.extend_from_slice(&len_bytes.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[family, 0]);
    message.extend_from_slice(&resource.to_be_bytes());
    message.extend_from_slice(body);
    message
}
