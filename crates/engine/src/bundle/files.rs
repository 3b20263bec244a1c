//! The files in `/etc` that speak of the network: hosts, resolv.conf and hostname.

use super::hostname_of;
use crate::sandbox::Sandbox;
use crate::settings::NetworkMode;
use gaufre_net::{
    HostsRequest, ResolvOptions, UPSTREAM_RESOLV_CONF, hosts_file, needs_upstream_servers, resolv_conf,
};
use std::fs;
use std::io;
use std::net::IpAddr;

/// What the network turned out to be.
#[derive(Debug, Default)]
pub(crate) struct NetworkFiles {
    /// The sandbox's own address.
    pub(crate) ip: Option<IpAddr>,
    /// The host as seen from the sandbox.
    pub(crate) gateway: Option<IpAddr>,
}

/// Writes the files for the next run.
pub(crate) fn write_network_files(sandbox: &Sandbox, network: &NetworkFiles) -> io::Result<()> {
    let settings = &sandbox.definition.settings;
    let directory = sandbox.directory().join("files");
    match fs::create_dir(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let hostname = hostname_of(&sandbox.definition);
    let hosts = hosts_file(&HostsRequest {
        ip: network.ip,
        names: &[&hostname, sandbox.definition.name.as_str()],
        host: network.gateway,
        added: &settings.add_hosts,
    });
    let own_network = settings.network != NetworkMode::Host;
    let resolv = resolv_conf(
        &host_resolv_conf(own_network),
        &ResolvOptions {
            servers: settings.dns.servers.clone(),
            searches: settings.dns.search.clone(),
            options: settings.dns.options.clone(),
            own_network,
        },
    );
    fs::write(directory.join("hosts"), hosts)?;
    fs::write(directory.join("resolv.conf"), resolv)?;
    fs::write(directory.join("hostname"), format!("{hostname}\n"))
}

/// What the host resolves names by. A resolver that it runs for itself, at a loopback address, is out of reach from
/// another network namespace; those that it asks are not. A host without the file resolves nothing.
fn host_resolv_conf(own_network: bool) -> String {
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if own_network && needs_upstream_servers(&host) {
        return fs::read_to_string(UPSTREAM_RESOLV_CONF).unwrap_or(host);
    }
    host
}
