//! Host ports are held by really bound sockets, so that a port in use is found out before anything is changed, and
//! nobody else takes it while the sandbox lives. No packet reaches them: the rules redirect it first.

mod holder;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

use crate::port::{PortMapping, Protocol};

/// A host port that cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Somebody else has it.
    #[error("port {port}/{protocol} of the host is in use on {address}{}", by(.holder))]
    InUse {
        /// The host's port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
        /// The address asked for.
        address: Ipv4Addr,
        /// Who has it, where that can be seen ("nginx (pid 812)").
        holder: Option<String>,
    },
    /// The same host port was asked for twice.
    #[error("port {port}/{protocol} of the host is published twice")]
    Twice {
        /// The host's port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// The address is not one of this machine's.
    #[error("{0} is not an address of this machine, so no port can be published on it")]
    NotOurs(Ipv4Addr),
    /// An IPv6 address: sandboxes on the bridge have none.
    #[error("cannot publish a port on [{0}]: containers on the bridge have IPv4 addresses only")]
    Ipv6(std::net::Ipv6Addr),
    /// Any other refusal.
    #[error("cannot reserve port {port}/{protocol} of the host")]
    Reserve {
        /// The host's port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
        /// What bind(2) or socket(2) said.
        #[source]
        source: io::Error,
    },
}

fn by(holder: &Option<String>) -> String {
    holder.as_ref().map(|holder| format!(" by {holder}")).unwrap_or_default()
}

/// The mappings with their host ports filled in, and the sockets that hold them.
pub(crate) type Reserved = (Vec<PortMapping>, Vec<OwnedFd>);

/// Binds every port. On an error all that were bound are free again.
pub(crate) fn reserve(ports: &[PortMapping]) -> Result<Reserved, PortError> {
    let mut resolved = ports.to_vec();
    let mut sockets = Vec::with_capacity(ports.len());
    // Those with a given number first: a picked one must not be one of them.
    let (given, picked): (Vec<_>, Vec<_>) = (0..ports.len()).partition(|at| ports[*at].host_port != 0);
    let mut seen: Vec<PortMapping> = Vec::with_capacity(given.len());
    for at in given {
        let port = ports[at];
        if seen.iter().any(|other| collide(other, &port)) {
            return Err(PortError::Twice { port: port.host_port, protocol: port.protocol });
        }
        seen.push(port);
        sockets.push(reserve_one(&port)?.0);
    }
    for at in picked {
        let (socket, host_port) = reserve_one(&ports[at])?;
        resolved[at].host_port = host_port;
        sockets.push(socket);
    }
    Ok((resolved, sockets))
}

fn collide(one: &PortMapping, other: &PortMapping) -> bool {
    let (here, there) = (one.host_ipv4(), other.host_ipv4());
    (one.host_port, one.protocol) == (other.host_port, other.protocol)
        && (here == there || here.is_none() || there.is_none())
}

fn reserve_one(port: &PortMapping) -> Result<(OwnedFd, u16), PortError> {
    if let Some(IpAddr::V6(address)) = port.host_ip {
        return Err(PortError::Ipv6(address));
    }
    let address = port.host_ipv4().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let refused = |errno: Errno| PortError::Reserve {
        port: port.host_port,
        protocol: port.protocol,
        source: errno.into(),
    };
    let kind = match port.protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None).map_err(refused)?;
    // Without SO_REUSEADDR nobody else binds the port either, though this socket never listens.
    match bind(&socket, &SocketAddrV4::new(address, port.host_port)) {
        Ok(()) => {}
        Err(Errno::ADDRINUSE) => {
            return Err(PortError::InUse {
                port: port.host_port,
                protocol: port.protocol,
                address,
                holder: holder::find(port.host_port, port.protocol),
            });
        }
        Err(Errno::ADDRNOTAVAIL) => return Err(PortError::NotOurs(address)),
        Err(errno) => return Err(refused(errno)),
    }
    if port.protocol == Protocol::Udp {
        // Should a datagram get here all the same, it is not worth keeping.
        set_socket_recv_buffer_size(&socket, 0).map_err(refused)?;
    }
    let bound = getsockname(&socket).map_err(refused)?;
    let bound = SocketAddr::try_from(bound).map_err(refused)?;
    Ok((socket, bound.port()))
}
