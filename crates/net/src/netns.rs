//! Work inside another network namespace.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::{NetlinkError, Socket};

/// The network of a sandbox that could not be entered or set up.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
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

/// Switches the loopback interface on in a network namespace; what a sandbox without network has.
///
/// # Errors
/// [`NetnsError`] if the namespace cannot be entered or the kernel refuses.
pub fn loopback_up(netns: BorrowedFd<'_>) -> Result<(), NetnsError> {
    route_socket_in(netns)?.loopback_up().map_err(NetnsError::Configure)
}
