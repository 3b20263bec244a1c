//! The network of sandboxes: one bridge with NAT, a veth pair for each, published ports. Spawns nothing: interfaces are
//! made by rtnetlink, rules by nf_tables, both through blocking sockets.
//!
//! ```no_run
//! use std::{fs::File, os::fd::AsFd, path::Path};
//! use gaufre_net::{AttachRequest, Net, PortMapping};
//!
//! let net = Net::open(Path::new("/run/gaufre"))?;
//! let netns = File::open("/proc/4242/ns/net")?;
//! let ports = PortMapping::parse("8080:80")?;
//! let attached = net.attach(&AttachRequest { id: "web", netns: netns.as_fd(), ports: &ports })?;
//! println!("web is {}, and port 8080 of this machine leads to it", attached.attachment.ip);
//! net.detach("web")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attach;
mod bridge;
mod check;
mod conntrack;
mod hosts;
mod link;
mod netfilter;
mod netlink;
mod netns;
mod nft;
mod port;
mod release;
mod reserve;
mod resolv;
mod state;
mod subnet;
mod sys;
mod sysctl;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use netlink::Socket;

pub use attach::{AttachError, AttachRequest, Attached, Attachment};
pub use bridge::BridgeError;
pub use check::CheckError;
pub use hosts::{AddedHost, BadHost, HostsRequest, hosts_file};
pub use netlink::NetlinkError;
pub use netns::{NetnsError, new_netns};
pub use nft::ForwardObstacle;
pub use port::{ParsePortError, PortMapping, Protocol};
pub use release::{DetachError, DetachErrors};
pub use reserve::PortError;
pub use resolv::{ResolvOptions, UPSTREAM_RESOLV_CONF, needs_upstream_servers, resolv_conf};
pub use state::StateError;
pub use subnet::{BadSubnet, Subnet};
pub use sysctl::SysctlError;

/// The network of one run directory. Any number of processes may have it open.
#[derive(Debug)]
pub struct Net {
    state: state::State,
    netfilter: Mutex<Option<Socket>>,
}

impl Net {
    /// Opens the network whose state is in `<run_dir>/net`. Changes nothing but that directory.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(run_dir: &Path) -> Result<Net, StateError> {
        Ok(Net { state: state::State::open(run_dir)?, netfilter: Mutex::new(None) })
    }

    /// Works with nf_tables by one socket that stays open with the `Net`: closing one makes the kernel wait for the end of
    /// what it was used to delete (about 10 ms), which is over by the time that the process ends.
    fn with_netfilter<T>(
        &self,
        work: impl FnOnce(&Socket) -> Result<T, NetlinkError>,
    ) -> Result<T, NetlinkError> {
        let mut slot = self.netfilter.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            *slot = Some(Socket::netfilter().map_err(NetlinkError::socket)?);
        }
        match slot.as_ref() {
            Some(socket) => work(socket),
            None => Err(NetlinkError::new("open a netlink socket", rustix::io::Errno::BADF)),
        }
    }

    /// Connects a sandbox: `eth0` with an address and a default route in its network namespace, loopback up, its ports
    /// published. Brings the bridge up if this is the first user.
    ///
    /// The calling thread enters the namespace for a moment (setns(2)); needs `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`.
    ///
    /// # Errors
    /// [`AttachError`]; nothing of the attempt is left then.
    pub fn attach(&self, request: &AttachRequest<'_>) -> Result<Attached, AttachError> {
        attach::attach(self, request)
    }

    /// Disconnects a sandbox, completely: [`Net::release`] and [`Net::sweep`]. One that is not connected is fine.
    ///
    /// # Errors
    /// All failures; it goes on past each.
    pub fn detach(&self, id: &str) -> Result<(), DetachErrors> {
        release::detach(self, id)
    }

    /// The quick part of [`Net::detach`] (well under a millisecond): the sandbox's ports and address are given up. Its
    /// veth pair goes when the kernel ends its network namespace. Somebody has to call [`Net::sweep`] afterwards.
    ///
    /// # Errors
    /// All failures; it goes on past each.
    pub fn release(&self, id: &str) -> Result<(), DetachErrors> {
        release::release(self, id)
    }

    /// The slow part of [`Net::detach`] (the kernel takes tens of milliseconds to let an interface go): removes veth pairs
    /// that no sandbox accounts for, and with the last user gone the bridge, its table and its settings.
    ///
    /// # Errors
    /// All failures; it goes on past each.
    pub fn sweep(&self) -> Result<(), DetachErrors> {
        release::sweep(self)
    }

    /// Disconnects every sandbox that is not in `live_ids`, except one that a living process is attaching this moment, and
    /// sweeps. What a killed process left is gone afterwards.
    ///
    /// # Errors
    /// All failures; it goes on past each.
    pub fn gc(&self, live_ids: &[&str]) -> Result<(), DetachErrors> {
        release::gc(self, live_ids)
    }

    /// Makes bridge, table and settings anew from the state files, whatever somebody did to them
    /// (`nft flush ruleset`), and removes bridges of this run directory that are left from a state that was lost.
    ///
    /// # Errors
    /// [`BridgeError`] if it cannot be done.
    pub fn reconcile(&self) -> Result<(), BridgeError> {
        bridge::reconcile(self)
    }

    /// What is missing, out of step with the state files or not ours, a sentence each: bridge, veth pairs, rules and
    /// published ports in nf_tables, settings. None if all is well. Changes nothing; [`Net::reconcile`] mends what it finds,
    /// except a veth pair that is gone and an interface that somebody else put on the bridge.
    ///
    /// Sandboxes that are being attached this moment are passed over.
    ///
    /// # Errors
    /// [`CheckError`] if it cannot be told.
    pub fn check(&self) -> Result<Vec<String>, CheckError> {
        check::check(self)
    }

    /// Chains of other people's nf_tables rules that drop forwarded packets unless a rule of theirs says otherwise, and
    /// none names our bridges. Where there is one, sandboxes may have no way out and published ports no way in but from
    /// this machine; only a rule in that chain helps. Old iptables-legacy rules cannot be seen, and bridges that are named
    /// in a set of nf_tables are not found.
    ///
    /// # Errors
    /// The kernel refuses to list its chains.
    pub fn forward_obstacles(&self) -> Result<Vec<ForwardObstacle>, NetlinkError> {
        self.with_netfilter(nft::forward_obstacles)
    }

    /// The connected sandboxes, in the order of their addresses.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn list(&self) -> Result<Vec<Attachment>, StateError> {
        self.state.attachments()
    }

    /// The place of one sandbox, if it is connected.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn attachment(&self, id: &str) -> Result<Option<Attachment>, StateError> {
        self.state.attachment(id)
    }

    /// Binds the host ports of an attachment again, for a new keeper after the old one was killed.
    ///
    /// # Errors
    /// [`PortError`] if somebody else took a port in the meantime.
    pub fn reserve_ports(&self, attachment: &Attachment) -> Result<Vec<OwnedFd>, PortError> {
        reserve::reserve(&attachment.ports).map(|(_, sockets)| sockets)
    }
}
