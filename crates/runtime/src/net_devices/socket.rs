//! A socket to rtnetlink(7), which stays in the network namespace in which it was opened.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use super::message::{self, Address, Link};
use crate::namespaces::within_network;

#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// One in our own network namespace.
    pub(super) fn open() -> rustix::io::Result<Self> {
        // NETLINK_ROUTE is protocol 0.
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).map(Self)
    }

    /// One in the network namespace `netns`.
    pub(super) fn open_in(netns: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        within_network(netns, Self::open)?
    }

    /// The device `name`, if there is one.
    pub(super) fn link(&self, name: &str) -> rustix::io::Result<Option<Link>> {
        match self.ask(&message::get_link(name)) {
            Ok(answers) => Ok(answers.iter().find_map(|(kind, payload)| message::read_link(*kind, payload))),
            Err(Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The addresses that a device was given to stay.
    pub(super) fn addresses(&self, index: u32) -> rustix::io::Result<Vec<Address>> {
        let answers = self.ask(&message::get_addresses())?;
        let read = |(kind, payload): &(u16, Vec<u8>)| message::read_address(*kind, payload, index);
        Ok(answers.iter().filter_map(read).collect())
    }

    /// Sends a request and waits for what it brings. The kernel works through it inside our call, and through the next
    /// part of a list whenever we have read one: reading until there is nothing more collects all of it.
    pub(super) fn ask(&self, request: &[u8]) -> rustix::io::Result<Vec<(u16, Vec<u8>)>> {
        const ERROR: u16 = 2;
        const DONE: u16 = 3;
        sendto(&self.0, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut answers = Vec::new();
        let mut refusal = None;
        let mut buffer = vec![0; 32 << 10];
        loop {
            let len = match recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::AGAIN) => return refusal.map_or(Ok(answers), Err),
                Ok((len, _)) => len,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            for (kind, payload) in message::messages(buffer.get(..len).unwrap_or_default()) {
                match (kind, message::read_errno(payload)) {
                    (ERROR, None | Some(0)) | (DONE, _) => {}
                    (ERROR, Some(number)) => refusal = Some(Errno::from_raw_os_error(number)),
                    _ => answers.push((kind, payload.to_vec())),
                }
            }
        }
    }
}
