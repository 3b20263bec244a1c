//! Disconnecting sandboxes, and cleaning up after those that were killed.

use std::fmt;

use crate::attach::Attachment;
use crate::bridge::{BridgeError, is_anothers, take_down};
use crate::netlink::{NetlinkError, Socket};
use crate::nft::{Element, Table};
use crate::port::Protocol;
use crate::state::{Locked, StateError, read_attachment};
use crate::{Net, conntrack};

/// Everything that failed while a sandbox was disconnected. All that could be removed is removed; what is left is found by the
/// next [`Net::gc`].
#[derive(Debug)]
pub struct DetachErrors(Vec<DetachError>);

/// One step that failed.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// The published ports of a sandbox are still there.
    #[error("cannot take back the published ports of container {id}")]
    Ports {
        /// The sandbox.
        id: String,
        /// What the kernel said.
        #[source]
        source: NetlinkError,
    },
    /// An interface is still there.
    #[error("cannot remove the interface {veth}")]
    Veth {
        /// Its name.
        veth: String,
        /// What the kernel said.
        #[source]
        source: NetlinkError,
    },
    /// The bridge, its table or its settings are still there.
    #[error("cannot take down the network of the containers")]
    Bridge(#[from] BridgeError),
    /// The files under `<run>/net` cannot be used.
    #[error("cannot forget the network of the containers")]
    State(#[from] StateError),
}

impl DetachErrors {
    /// The failures, in the order they happened.
    #[must_use]
    pub fn failures(&self) -> &[DetachError] {
        &self.0
    }

    fn unless_empty(failures: Vec<DetachError>) -> Result<(), Self> {
        if failures.is_empty() { Ok(()) } else { Err(DetachErrors(failures)) }
    }
}

/// Each failure with its causes, because several cannot share one chain of sources.
impl fmt::Display for DetachErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in self.0.iter().enumerate() {
            write!(f, "{}{failure}", if at == 0 { "" } else { "; " })?;
            let mut source = std::error::Error::source(failure);
            while let Some(cause) = source {
                write!(f, ": {cause}")?;
                source = cause.source();
            }
        }
        Ok(())
    }
}

impl std::error::Error for DetachErrors {}

impl From<StateError> for DetachErrors {
    fn from(error: StateError) -> Self {
        DetachErrors(vec![error.into()])
    }
}

/// Everything at once: [`release`], then [`sweep`].
pub(crate) fn detach(net: &Net, id: &str) -> Result<(), DetachErrors> {
    let mut failures = release(net, id).err().map_or(Vec::new(), |errors| errors.0);
    failures.extend(sweep(net).err().map_or(Vec::new(), |errors| errors.0));
    DetachErrors::unless_empty(failures)
}

/// The quick part: no port leads to the sandbox any more and its address is free again.
pub(crate) fn release(net: &Net, id: &str) -> Result<(), DetachErrors> {
    let locked = net.state.lock()?;
    let mut failures = Vec::new();
    for (ip, _, path) in net.state.names()?.into_iter().filter(|(_, name, _)| name == id) {
        // A file that cannot be read has no ports that we could know of; the next rebuild of the table drops them.
        match read_attachment(&path) {
            Ok(Some(attachment)) => failures.extend(withdraw(net, &attachment).err()),
            Ok(None) => {}
            Err(error) => failures.push(error.into()),
        }
        failures.extend(locked.remove_attachment(ip, id).err().map(Into::into));
    }
    DetachErrors::unless_empty(failures)
}

fn withdraw(net: &Net, attachment: &Attachment) -> Result<(), DetachError> {
    let Some(network) = net.state.network()?.filter(|_| !attachment.ports.is_empty()) else { return Ok(()) };
    let elements: Vec<Element> =
        attachment.ports.iter().map(|port| Element::new(port, attachment.ip)).collect();
    let kernel = |source| DetachError::Ports { id: attachment.id.clone(), source };
    let bridge = network.bridge();
    net.with_netfilter(|socket| Table { bridge: &bridge }.withdraw(socket, &elements)).map_err(kernel)?;
    let udp = attachment.ports.iter().any(|port| port.protocol == Protocol::Udp);
    let forget = || net.with_netfilter(|socket| conntrack::forget_sandbox(socket, attachment.ip));
    if udp { forget().map_err(kernel) } else { Ok(()) }
}

/// The slow part (tens of milliseconds, which the kernel takes to let an interface go): interfaces that no attachment
/// accounts for, and with no user left the bridge, its table and its settings.
pub(crate) fn sweep(net: &Net) -> Result<(), DetachErrors> {
    let locked = net.state.lock()?;
    let Some(mut network) = net.state.network()?.filter(|network| network.up) else { return Ok(()) };
    let mut failures = Vec::new();
    match is_anothers(net, &network) {
        Ok(true) => {}
        Ok(false) => remove_strays(net, &network.veth_prefix(), &mut failures),
        Err(error) => failures.push(error.into()),
    }
    if net.state.names()?.is_empty() {
        failures.extend(take_down(net, &locked, &mut network).into_iter().map(DetachError::from));
    }
    DetachErrors::unless_empty(failures)
}

fn remove_strays(net: &Net, prefix: &str, failures: &mut Vec<DetachError>) {
    let kernel = |veth: &str, source| DetachError::Veth { veth: veth.to_owned(), source };
    let result =
        Socket::route().map_err(NetlinkError::socket).and_then(|socket| Ok((socket.links()?, socket)));
    let (links, socket) = match result {
        Ok(found) => found,
        Err(error) => return failures.push(kernel(prefix, error)),
    };
    let known: Vec<String> = match net.state.attachments() {
        Ok(attachments) => attachments.into_iter().map(|attachment| attachment.veth).collect(),
        Err(error) => return failures.push(error.into()),
    };
    for link in links.iter().filter(|link| link.name.starts_with(prefix) && !known.contains(&link.name)) {
        failures.extend(socket.remove_link(&link.name).err().map(|error| kernel(&link.name, error)));
    }
}

/// Forgets attachments of sandboxes that are not in `live`, except those being made this moment, then sweeps.
pub(crate) fn gc(net: &Net, live: &[&str]) -> Result<(), DetachErrors> {
    let dead: Vec<String> = {
        let locked = net.state.lock()?;
        if net.state.network()?.is_none() {
            locked.clear()?;
        }
        dead_ids(net, &locked, live)?
    };
    let mut failures = Vec::new();
    for id in dead {
        failures.extend(release(net, &id).err().map_or(Vec::new(), |errors| errors.0));
    }
    if has_strays(net)? {
        failures.extend(sweep(net).err().map_or(Vec::new(), |errors| errors.0));
    }
    DetachErrors::unless_empty(failures)
}

fn dead_ids(net: &Net, locked: &Locked<'_>, live: &[&str]) -> Result<Vec<String>, StateError> {
    let names = net.state.names()?.into_iter();
    let dead = names.filter(|(_, id, path)| !live.contains(&id.as_str()) && !locked.is_under_way(path));
    Ok(dead.map(|(_, id, _)| id).collect())
}

/// Whether anything of ours is on the machine, so that a sweep may find work.
fn has_strays(net: &Net) -> Result<bool, StateError> {
    Ok(net.state.network()?.is_some_and(|network| network.up))
}
