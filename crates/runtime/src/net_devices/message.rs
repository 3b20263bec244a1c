//! The few messages of rtnetlink(7) about devices and their addresses, as bytes.

/// Length of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;
/// Length of `struct ifinfomsg` and what precedes it.
const LINK_LEN: usize = HEADER_LEN + 16;
/// Length of `struct ifaddrmsg` and what precedes it.
const ADDRESS_LEN: usize = HEADER_LEN + 8;

const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE_NEW: u16 = 0x600;
const NLM_F_DUMP: u16 = 0x300;

const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFF_UP: u32 = 1;

const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u32 = 0x80;
/// Flags that whoever gave the address chose: `IFA_F_NODAD`, `IFA_F_HOMEADDRESS`, `IFA_F_MANAGETEMPADDR`,
/// `IFA_F_NOPREFIXROUTE`, `IFA_F_MCAUTOJOIN` of linux/if_addr.h. The others are the kernel's own.
const IFA_F_CHOSEN: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;
/// Attributes of an address that mean the same on any device: `IFA_ADDRESS`, `IFA_LOCAL`, `IFA_BROADCAST`,
/// `IFA_RT_PRIORITY`. `IFA_LABEL` has the device's old name in it.
const IFA_KEPT: [u16; 4] = [1, 2, 4, 9];

/// A device as the kernel describes it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) is_up: bool,
}

/// An address of a device, ready to be given to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    family: u8,
    prefix_len: u8,
    scope: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Whether it has a meaning beyond its link and host: `RT_SCOPE_UNIVERSE`.
    pub(super) fn is_global(&self) -> bool {
        self.scope == 0
    }
}

/// Asks for the device `name`.
pub(super) fn get_link(name: &str) -> Vec<u8> {
    let mut message = link(libc::RTM_GETLINK, NLM_F_REQUEST, 0, 0, 0);
    push(&mut message, IFLA_IFNAME, &terminated(name));
    finish(message)
}

/// Moves a device to the network namespace behind the descriptor `netns`, and gives it another name where `name` is one.
pub(super) fn move_link(index: u32, netns: i32, name: Option<&str>) -> Vec<u8> {
    let mut message = set_link(index, 0, 0);
    push(&mut message, IFLA_NET_NS_FD, &netns.to_ne_bytes());
    if let Some(name) = name {
        push(&mut message, IFLA_IFNAME, &terminated(name));
    }
    finish(message)
}

/// Gives a device another name, in which `%d` is a number of the kernel's choice.
pub(super) fn rename_link(index: u32, name: &str) -> Vec<u8> {
    let mut message = set_link(index, 0, 0);
    push(&mut message, IFLA_IFNAME, &terminated(name));
    finish(message)
}

/// Sets a device's state to "up".
pub(super) fn set_link_up(index: u32) -> Vec<u8> {
    finish(set_link(index, IFF_UP, IFF_UP))
}

/// Sets a device's state to "down".
pub(super) fn set_link_down(index: u32) -> Vec<u8> {
    finish(set_link(index, 0, IFF_UP))
}

/// Asks for the addresses of all devices.
pub(super) fn get_addresses() -> Vec<u8> {
    let mut message = header(libc::RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP);
    message.extend([0; ADDRESS_LEN - HEADER_LEN]);
    finish(message)
}

/// Gives a device an address.
pub(super) fn add_address(index: u32, address: &Address) -> Vec<u8> {
    let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE_NEW;
    let mut message = header(libc::RTM_NEWADDR, flags);
    message.extend([address.family, address.prefix_len, 0, address.scope]);
    message.extend(index.to_ne_bytes());
    for (kind, value) in &address.attributes {
        push(&mut message, *kind, value);
    }
    finish(message)
}

/// The device that an answer describes.
pub(super) fn read_link(kind: u16, payload: &[u8]) -> Option<Link> {
    if kind != libc::RTM_NEWLINK {
        return None;
    }
    let (index, flags) = (read_u32(payload, 4)?, read_u32(payload, 8)?);
    let (_, name) =
        attributes(payload.get(LINK_LEN - HEADER_LEN..)?).find(|(kind, _)| *kind == IFLA_IFNAME)?;
    let name = String::from_utf8(name.strip_suffix(&[0]).unwrap_or(name).to_vec()).ok()?;
    Some(Link { index, name, is_up: flags & IFF_UP != 0 })
}

/// The address that an answer describes, where it is of the device `index` and was given to stay.
pub(super) fn read_address(kind: u16, payload: &[u8], index: u32) -> Option<Address> {
    let (Some(&[family, prefix_len, flags, scope]), Some(found)) =
        (payload.first_chunk(), read_u32(payload, 4))
    else {
        return None;
    };
    if kind != libc::RTM_NEWADDR || found != index {
        return None;
    }
    let mut flags = u32::from(flags);
    let mut kept = Vec::new();
    for (kind, value) in attributes(payload.get(ADDRESS_LEN - HEADER_LEN..)?) {
        if kind == IFA_FLAGS {
            flags = read_u32(value, 0)?;
        } else if IFA_KEPT.contains(&kind) {
            kept.push((kind, value.to_vec()));
        }
    }
    kept.push((IFA_FLAGS, (flags & IFA_F_CHOSEN).to_ne_bytes().to_vec()));
    (flags & IFA_F_PERMANENT != 0).then_some(Address { family, prefix_len, scope, attributes: kept })
}

/// The messages (type, payload) of one datagram; ends at the first that is cut short.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::try_from(read_u32(rest, 0)?).ok()?;
        let kind = read_u16(rest, 4)?;
        let payload = rest.get(HEADER_LEN..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// The attributes (type, value); ends at the first that is cut short.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(read_u16(rest, 0)?);
        let kind = read_u16(rest, 2)? & 0x3fff;
        let value = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The error number of an acknowledgement, 0 for success: `struct nlmsgerr`.
pub(super) fn read_errno(payload: &[u8]) -> Option<i32> {
    read_u32(payload, 0).map(|code| code.cast_signed().saturating_neg())
}

fn set_link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    link(libc::RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, index, flags, change)
}

fn link(kind: u16, message_flags: u16, index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut message = header(kind, message_flags);
    message.extend([0; 4]);
    for number in [index, flags, change] {
        message.extend(number.to_ne_bytes());
    }
    message
}

/// The length comes last.
fn header(kind: u16, flags: u16) -> Vec<u8> {
    let mut message = vec![0; 4];
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message
}

fn push(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Names, numbers and addresses: no value is longer than 16 bytes.
    let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    message.extend(len.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn finish(mut message: Vec<u8>) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    if let Some(place) = message.first_chunk_mut() {
        *place = len.to_ne_bytes();
    }
    message
}

fn terminated(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes
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
    fn an_address_that_is_read_is_given_without_the_flags_of_the_kernel() {
        let mut message = header(libc::RTM_NEWADDR, 0);
        message.extend([2, 24, 0x80, 0, 7, 0, 0, 0]);
        push(&mut message, 1, &[10, 0, 0, 1]);
        push(&mut message, 3, b"eth0:1\0");
        push(&mut message, IFA_FLAGS, &0x2c0_u32.to_ne_bytes());
        let message = finish(message);
        let (kind, payload) = messages(&message).next().unwrap();
        assert_eq!(read_address(kind, payload, 8), None);
        let address = read_address(kind, payload, 7).unwrap();
        assert!(address.is_global());
        let again = add_address(3, &address);
        let (kind, payload) = messages(&again).next().unwrap();
        let attributes: Vec<_> = attributes(&payload[8..]).collect();
        assert_eq!(attributes, [(1, &[10, 0, 0, 1][..]), (IFA_FLAGS, &0x200_u32.to_ne_bytes()[..])]);
        // Not known to stay any more: the kernel says so itself.
        assert_eq!(read_address(kind, payload, 3), None);
    }

    #[test]
    fn what_is_cut_short_ends_without_a_panic() {
        let message = set_link_up(3);
        for len in 0..message.len() {
            assert_eq!(messages(&message[..len]).count(), 0);
        }
        assert_eq!(attributes(&[9, 0, 1, 0, 1]).count() + attributes(&[0, 0, 1, 0]).count(), 0);
        assert!(read_link(libc::RTM_NEWLINK, &[0; 9]).is_none());
    }
}
