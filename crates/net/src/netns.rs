//! Network namespaces: making one, and work inside another.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::{NetlinkError, Socket};
use crate::sys::unshare_network;

/// The network of a sandbox that could not be entered or set up.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// It cannot be made (unshare(2) needs `CAP_SYS_ADMIN`).
    #[error("cannot make a network namespace for the container")]
    Make(#[source] io::Error),
    /// It cannot be entered (setns(2) needs `CAP_SYS_ADMIN`), or not be left again.
    #[error("cannot enter the network namespace of the container")]
    Enter(#[source] io::Error),
    /// The kernel refused a change inside it.
    #[error("cannot set up the network inside the container")]
    Configure(#[source] NetlinkError),
}

/// A route socket that lives in the namespace `netns`. The calling thread is there only while it is opened.
///
/// # Errors
/// [`NetnsError::Enter`]; if the way back fails the thread stays in the sandbox's namespace, which setns(2) does not
/// do to a caller that could enter at all.
pub(crate) fn route_socket_in(netns: BorrowedFd<'_>) -> Result<Socket, NetnsError> {
    let enter = |errno: rustix::io::Errno| NetnsError::Enter(errno.into());
    let own = File::open("/proc/thread-self/ns/net").map_err(NetnsError::Enter)?;
    move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).map_err(enter)?;
    let socket = Socket::route();
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network)).map_err(enter)?;
    socket.map_err(NetnsError::Enter)
}

/// A new network namespace that has nothing but a loopback interface, which is on: what a sandbox without network has. It
/// goes when nothing uses it and its descriptors are closed.
///
/// # Errors
/// [`NetnsError`] if the kernel refuses to make it or to set it up.
pub fn new_netns() -> Result<OwnedFd, NetnsError> {
    const OWN: &str = "/proc/thread-self/ns/net";
    let home = File::open(OWN).map_err(NetnsError::Make)?;
    unshare_network().map_err(NetnsError::Make)?;
    let made = File::open(OWN).and_then(|netns| Ok((netns, Socket::route()?)));
    // Who could make it can go home.
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| NetnsError::Enter(errno.into()))?;
    let (netns, socket) = made.map_err(NetnsError::Make)?;
    socket.loopback_up().map_err(NetnsError::Configure)?;
    Ok(netns.into())
}
