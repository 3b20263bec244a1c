//! A blocking request/ack loop over netlink, for both rtnetlink and nf_tables.
//!
//! The kernel works through a request inside our `sendto`, so every answer is queued when it returns: reading
//! until the socket is empty collects all of them, and neither a timer nor a poll is needed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, sendto, socket_with,
};

use crate::sys::set_netlink_option;

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER_LEN: usize = 16;
pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// With it an error's extended texts follow directly after the copied header, without our own request.
const NLM_F_ACK_TLVS: u16 = 0x200;

/// Below what a socket takes in one message by default (212992 bytes in net.core.wmem_default, less some for the kernel's use).
const USUAL_SEND_BUFFER_LEN_BYTES: usize = 100 * 1024;

/// What the kernel answered to a request that it refused.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refused to {doing}{}", explain(.explanation))]
pub struct NetlinkError {
    /// What was asked for, as the end of a sentence ("create the bridge").
    pub doing: String,
    /// The kernel's own words about it (extended ACK), where it gave any.
    pub explanation: Option<String>,
    /// The error number.
    #[source]
    pub source: io::Error,
}

fn explain(text: &Option<String>) -> String {
    text.as_ref().map(|text| format!(" ({text})")).unwrap_or_default()
}

impl NetlinkError {
    pub(crate) fn new(doing: &str, errno: Errno) -> Self {
        NetlinkError { doing: doing.to_owned(), explanation: None, source: errno.into() }
    }

    /// For a socket that cannot be opened.
    pub(crate) fn socket(source: io::Error) -> Self {
        NetlinkError { doing: "open a netlink socket".to_owned(), explanation: None, source }
    }

    /// Whether the kernel's error number is `errno`.
    #[must_use]
    pub(crate) fn is(&self, errno: Errno) -> bool {
        self.source.raw_os_error() == Some(errno.raw_os_error())
    }
}

/// Several requests that are sent in one system call.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) bytes: Vec<u8>,
    doing: Vec<String>,
}

impl Requests {
    /// Appends a whole message. Its sequence number is set here; `doing` names it in errors.
    pub(crate) fn push(&mut self, doing: impl Into<String>, mut message: Vec<u8>) {
        let sequence = u32::try_from(self.doing.len()).unwrap_or(u32::MAX);
        message[8..12].copy_from_slice(&sequence.to_ne_bytes());
        message.resize(message.len().next_multiple_of(4), 0);
        self.bytes.extend_from_slice(&message);
        self.doing.push(doing.into());
    }

    fn doing(&self, sequence: u32) -> &str {
        usize::try_from(sequence)
            .ok()
            .and_then(|at| self.doing.get(at))
            .map_or("carry out a request", |text| text)
    }
}

/// One message of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) kind: u16,
    pub(crate) payload: Vec<u8>,
}

/// A netlink socket, in the network namespace of the thread that opened it for as long as it lives.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

impl Socket {
    /// A socket to rtnetlink (rtnetlink(7)).
    pub(crate) fn route() -> io::Result<Self> {
        // NETLINK_ROUTE is protocol 0.
        Self::open(None)
    }

    /// A socket to netfilter (nf_tables is one of its subsystems).
    pub(crate) fn netfilter() -> io::Result<Self> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<rustix::net::Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        set_netlink_option(socket.as_fd(), libc::NETLINK_EXT_ACK)?;
        set_netlink_option(socket.as_fd(), libc::NETLINK_CAP_ACK)?;
        Ok(Socket(socket))
    }

    /// The index of the interface `name`, or none if there is no such interface (netdevice(7)).
    pub(crate) fn interface_index(&self, name: &str) -> io::Result<Option<u32>> {
        match rustix::net::netdevice::name_to_index(&self.0, name) {
            Ok(index) => Ok(Some(index)),
            Err(Errno::NODEV) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends all requests at once and waits for what they bring.
    ///
    /// # Errors
    /// The first refusal. rtnetlink carries out the requests after a refused one nevertheless; an nf_tables batch
    /// is all or nothing.
    pub(crate) fn carry_out(&self, requests: &Requests) -> Result<Vec<Answer>, NetlinkError> {
        match self.carry_out_each(requests)? {
            (answers, None) => Ok(answers),
            (_, Some(refusal)) => Err(refusal),
        }
    }

    fn carry_out_each(
        &self,
        requests: &Requests,
    ) -> Result<(Vec<Answer>, Option<NetlinkError>), NetlinkError> {
        let broken = |errno| NetlinkError::new(requests.doing(0), errno);
        if requests.bytes.len() > USUAL_SEND_BUFFER_LEN_BYTES {
            // Thousands of ports in one batch. Without CAP_NET_ADMIN sendto itself says so.
            let _ = set_socket_send_buffer_size_force(&self.0, requests.bytes.len() * 2);
        }
        sendto(&self.0, &requests.bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))
            .map_err(broken)?;
        let mut answers = Vec::new();
        let mut refusal = None;
        let mut buffer = vec![0u8; 32 * 1024];
        loop {
            let len_bytes = match recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::AGAIN) => return Ok((answers, refusal)),
                Ok((_, len_bytes)) => len_bytes.min(buffer.len()),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(broken(errno)),
            };
            for (header, payload) in Messages(&buffer[..len_bytes]) {
                match header.kind {
                    NLMSG_ERROR => {
                        let found = read_refusal(&header, payload, requests);
                        refusal = refusal.or(found);
                    }
                    NLMSG_DONE => {}
                    kind => answers.push(Answer { kind, payload: payload.to_vec() }),
                }
            }
        }
    }
}

struct Header {
    kind: u16,
    flags: u16,
    sequence: u32,
}

/// The messages of one datagram; ends at the first that is cut short.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (Header, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len_bytes = usize::try_from(read_u32(self.0, 0)?).ok()?;
        let header = Header {
            kind: read_u16(self.0, 4)?,
            flags: read_u16(self.0, 6)?,
            sequence: read_u32(self.0, 8)?,
        };
        let payload = self.0.get(HEADER_LEN..len_bytes)?;
        self.0 = self.0.get(len_bytes.next_multiple_of(4)..).unwrap_or_default();
        Some((header, payload))
    }
}

/// `struct nlmsgerr`: an errno (0 is an acknowledgement), the header it belongs to, then attributes.
fn read_refusal(header: &Header, payload: &[u8], requests: &Requests) -> Option<NetlinkError> {
    let code = read_u32(payload, 0)?.cast_signed();
    if code == 0 {
        return None;
    }
    let mut explanation = None;
    if header.flags & NLM_F_ACK_TLVS != 0 {
        for (kind, value) in Attributes(payload.get(4 + HEADER_LEN..).unwrap_or_default()) {
            if kind == NLMSGERR_ATTR_MSG {
                let text = value.strip_suffix(&[0]).unwrap_or(value);
                explanation = Some(String::from_utf8_lossy(text).into_owned());
            }
        }
    }
    Some(NetlinkError {
        doing: requests.doing(header.sequence).to_owned(),
        explanation,
        source: io::Error::from_raw_os_error(code.saturating_neg()),
    })
}

/// The attributes (type, value) of a message, in order; ends at the first that is cut short.
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The next attribute with the flags in its type (`NLA_F_NESTED`).
    pub(crate) fn next_with_flags(&mut self) -> Option<(u16, &'a [u8])> {
        let len_bytes = usize::from(read_u16(self.0, 0)?);
        let kind = read_u16(self.0, 2)?;
        let value = self.0.get(4..len_bytes)?;
        self.0 = self.0.get(len_bytes.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_with_flags().map(|(kind, value)| (kind & 0x3fff, value))
    }
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_short_message_ends_the_answer_without_a_panic() {
        let mut message = vec![0u8; 20];
        message[0..4].copy_from_slice(&400u32.to_ne_bytes());
        assert_eq!(Messages(&message).count(), 0);
        message[0..4].copy_from_slice(&3u32.to_ne_bytes());
        assert_eq!(Messages(&message).count(), 0);
        assert_eq!(Attributes(&[9, 0, 1, 0, 1]).count(), 0);
        assert_eq!(Attributes(&[0, 0, 1, 0, 1]).count(), 0);
    }

    #[test]
    fn a_refusal_names_what_was_asked_for_and_the_kernels_own_words() {
        let socket = Socket::route().unwrap();
        let mut requests = Requests::default();
        // RTM_NEWADDR on an interface that does not exist.
        let mut message = vec![0u8; HEADER_LEN + 8];
        message[0..4].copy_from_slice(&24u32.to_ne_bytes());
        message[4..6].copy_from_slice(&20u16.to_ne_bytes());
        message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        message[16] = 2;
        message[17] = 99;
        requests.push("give an address to nothing", message);
        let refusal = socket.carry_out(&requests).unwrap_err();
        assert!(
            refusal.to_string().starts_with("the kernel refused to give an address to nothing"),
            "{refusal}"
        );
        assert!(refusal.explanation.is_some(), "{refusal:?}");
    }
}
