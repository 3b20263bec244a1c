//! Networks, ports and names.

use std::net::IpAddr;

use clap::Args;
use gaufre_engine::settings::{AddedHost, Dns, NetworkMode, PortMapping, Settings};

use super::invalid;
use crate::failure::{CliError, Result};
use crate::output;

/// Networks, ports and names.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Network to join: bridge, host, none or container:NAME
    #[arg(long, visible_alias = "net", value_name = "MODE", default_value = "bridge")]
    network: Vec<NetworkMode>,

    /// Publish a port: [[IP:]HOST:]PORT[/udp], such as 8080:80; also ranges
    #[arg(short, long, value_name = "PORT", value_delimiter = ',')]
    publish: Vec<String>,

    /// Publish every port that the image exposes on a free host port
    #[arg(short = 'P', long)]
    publish_all: bool,

    /// Name server to use instead of the host's
    #[arg(long, value_name = "IP", value_delimiter = ',')]
    dns: Vec<String>,

    /// Search domain to use instead of the host's
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    dns_search: Vec<String>,

    /// Option for resolv.conf, such as ndots:2
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION", value_delimiter = ',')]
    dns_option: Vec<String>,

    /// Add a line to /etc/hosts; the address may be host-gateway
    #[arg(long, value_name = "NAME:IP", value_delimiter = ',')]
    add_host: Vec<AddedHost>,
}

impl NetworkArgs {
    pub(super) fn apply(&self, settings: &mut Settings) -> Result<()> {
        settings.network = match &self.network[..] {
            [] => NetworkMode::default(),
            [network] => network.clone(),
            _ => return Err(CliError::new("a container joins one network: give --network once")),
        };
        for text in &self.publish {
            settings.ports.extend(PortMapping::parse(text).map_err(|error| invalid("publish", error))?);
        }
        settings.publish_all = self.publish_all;
        let own = settings.network == NetworkMode::Bridge;
        if !own && (self.publish_all || !settings.ports.is_empty()) {
            // As podman: scripts pass -p along whatever the network.
            output::note(format_args!(
                "warning: ports are not published with --network {}",
                settings.network
            ));
            settings.ports.clear();
            settings.publish_all = false;
        }
        settings.dns = self.dns()?;
        settings.add_hosts.clone_from(&self.add_host);
        Ok(())
    }

    fn dns(&self) -> Result<Dns> {
        let address = |text: &String| {
            text.parse::<IpAddr>().map_err(|_| CliError::new(format_args!("--dns '{text}' is no IP address")))
        };
        let word = |flag: &str, text: &String| match text.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            true => Err(CliError::new(format_args!("--{flag} '{text}' cannot stand in resolv.conf"))),
            false => Ok(text.clone()),
        };
        Ok(Dns {
            servers: self.dns.iter().map(address).collect::<Result<_>>()?,
            search: self.dns_search.iter().map(|text| word("dns-search", text)).collect::<Result<_>>()?,
            options: self.dns_option.iter().map(|text| word("dns-option", text)).collect::<Result<_>>()?,
        })
    }
}
