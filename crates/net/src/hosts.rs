//! The sandbox's /etc/hosts (hosts(5)).

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names by which a sandbox reaches the machine it runs on; the first is podman's.
const HOST_NAMES: &str = "host.containers.internal host.gaufre.internal";

/// The address that stands for the machine itself.
const HOST_GATEWAY: &str = "host-gateway";

/// One `--add-host NAME:ADDRESS`, stored in the same words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddedHost {
    /// The names, one or several.
    pub names: Vec<String>,
    /// Its address; none stands for the machine itself (`host-gateway`).
    pub address: Option<IpAddr>,
}

/// A text that names no host and address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot add the host `{0}`: it has to be NAME:ADDRESS, or NAME:host-gateway")]
pub struct BadHost(String);

/// Reads `name[;name...]:address`, as podman-run(1) has it, or Docker's `name=address`; the address may be `host-gateway`, an IPv6 one may stand in
/// brackets.
impl FromStr for AddedHost {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.to_owned());
        let (names, address) = text.split_once([':', '=']).ok_or_else(bad)?;
        let names: Vec<String> = names.split(';').map(ToOwned::to_owned).collect();
        let plain = |name: &String| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
        };
        if !names.iter().all(plain) {
            return Err(bad());
        }
        if address == HOST_GATEWAY {
            return Ok(AddedHost { names, address: None });
        }
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        Ok(AddedHost { names, address: Some(bare.parse().map_err(|_| bad())?) })
    }
}

impl fmt::Display for AddedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.names.join(";"))?;
        match self.address {
            Some(address) => write!(f, "{address}"),
            None => f.write_str(HOST_GATEWAY),
        }
    }
}

impl TryFrom<String> for AddedHost {
    type Error = BadHost;

    fn try_from(text: String) -> Result<Self, BadHost> {
        text.parse()
    }
}

impl From<AddedHost> for String {
    fn from(host: AddedHost) -> String {
        host.to_string()
    }
}

/// What goes into a hosts file.
#[derive(Clone, Debug, Default)]
pub struct HostsRequest<'a> {
    /// The sandbox's own address; none where it has no network of its own.
    pub ip: Option<IpAddr>,
    /// The sandbox's own names: host name first, then its name.
    pub names: &'a [&'a str],
    /// The machine's address as the sandbox sees it: the bridge's gateway. None where it cannot be reached.
    pub host: Option<IpAddr>,
    /// `--add-host`. These come first, because the first line with a name counts.
    pub added: &'a [AddedHost],
}

/// The text of the sandbox's hosts file. Without a network of its own its names mean loopback.
///
/// An added `host-gateway` is left out where the machine has no address for the sandbox.
#[must_use]
pub fn hosts_file(request: &HostsRequest<'_>) -> String {
    let mut text = String::new();
    for added in request.added {
        if let Some(address) = added.address.or(request.host) {
            line(&mut text, &address.to_string(), &added.names.join(" "));
        }
    }
    line(&mut text, "127.0.0.1", "localhost localhost.localdomain");
    line(&mut text, "::1", "localhost localhost.localdomain");
    if let Some(host) = request.host {
        line(&mut text, &host.to_string(), HOST_NAMES);
    }
    let mut own: Vec<&str> = Vec::new();
    for name in request.names {
        if !name.is_empty() && !own.contains(name) {
            own.push(name);
        }
    }
    if !own.is_empty() {
        let address = request.ip.map_or_else(|| "127.0.0.1".to_owned(), |ip| ip.to_string());
        line(&mut text, &address, &own.join(" "));
    }
    text
}

fn line(text: &mut String, address: &str, names: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{address}\t{names}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridged_sandbox_finds_itself_its_machine_and_what_was_added() {
        let added: Vec<AddedHost> =
            ["db:192.0.2.7", "gw;way:host-gateway", "six:[2001:db8::1]", "seven:2001:db8::2"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let request = HostsRequest {
            ip: "10.207.0.2".parse().ok(),
            names: &["c0ffee", "web", "web"],
            host: "10.207.0.1".parse().ok(),
            added: &added,
        };
        let expected = "192.0.2.7\tdb\n10.207.0.1\tgw way\n2001:db8::1\tsix\n2001:db8::2\tseven\n\
            127.0.0.1\tlocalhost localhost.localdomain\n::1\tlocalhost localhost.localdomain\n\
            10.207.0.1\thost.containers.internal host.gaufre.internal\n10.207.0.2\tc0ffee web\n";
        assert_eq!(hosts_file(&request), expected);
    }

    #[test]
    fn a_sandbox_without_network_finds_itself_on_loopback() {
        let added = ["gw:host-gateway".parse().unwrap()];
        let request = HostsRequest { names: &["lonely", ""], added: &added, ..HostsRequest::default() };
        let expected = "127.0.0.1\tlocalhost localhost.localdomain\n::1\tlocalhost localhost.localdomain\n127.0.0.1\tlonely\n";
        assert_eq!(hosts_file(&request), expected);
    }

    #[test]
    fn an_added_host_is_stored_in_the_words_it_was_read_from() {
        for text in ["db:192.0.2.7", "gw;way:host-gateway", "six:2001:db8::1"] {
            let host: AddedHost = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&host).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<AddedHost>(&format!("\"{text}\"")).unwrap(), host);
        }
        assert_eq!("db=192.0.2.7".parse::<AddedHost>(), "db:192.0.2.7".parse());
    }

    #[test]
    fn an_added_host_that_means_nothing_is_refused_and_named() {
        for text in [
            "",
            "db",
            "db:",
            ":192.0.2.1",
            "a b:192.0.2.1",
            "db:there",
            "a\nb:192.0.2.1",
            "a;:192.0.2.1",
            "db:[::1",
        ] {
            let refusal = text.parse::<AddedHost>().unwrap_err().to_string();
            assert!(refusal.contains(&format!("`{text}`")), "{refusal}");
        }
    }
}
