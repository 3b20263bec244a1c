//! Published ports: the text of `-p` and what it means.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A transport protocol that ports are published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// IANA's protocol number.
    pub(crate) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// One port of the host that leads to one port of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// The host's address it is published on; none for every IPv4 address.
    pub host_ip: Option<IpAddr>,
    /// The host's port; 0 before attaching means any that is free.
    pub host_port: u16,
    /// The sandbox's port, never 0.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A text that does not say which ports to publish.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot publish `{text}`: {reason}")]
pub struct ParsePortError {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl PortMapping {
    /// Reads `[[ip:][host]:]container[/protocol]`, where host and container may be ranges of the same length
    /// (`8000-8005:80-85`), as podman-run(1) has it. Gives one mapping for each port. An IPv6 address is refused: sandboxes
    /// on the bridge have none.
    ///
    /// ```
    /// let ports = gaufre_net::PortMapping::parse("127.0.0.1:8000-8001:80-81/udp")?;
    /// assert_eq!(ports[1].to_string(), "127.0.0.1:8001->81/udp");
    /// # Ok::<(), gaufre_net::ParsePortError>(())
    /// ```
    ///
    /// # Errors
    /// A sentence that names the text and what is wrong with it.
    pub fn parse(text: &str) -> Result<Vec<PortMapping>, ParsePortError> {
        parse(text).map_err(|reason| ParsePortError { text: text.to_owned(), reason })
    }

    /// The IPv4 address it is published on; none for every one.
    pub(crate) fn host_ipv4(&self) -> Option<Ipv4Addr> {
        match self.host_ip {
            Some(IpAddr::V4(address)) if !address.is_unspecified() => Some(address),
            _ => None,
        }
    }
}

/// As podman's `port` prints it: `0.0.0.0:8080->80/tcp`.
impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            None => write!(f, "0.0.0.0")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}")?,
            Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
        }
        write!(f, ":{}->{}/{}", self.host_port, self.container_port, self.protocol)
    }
}

fn parse(text: &str) -> Result<Vec<PortMapping>, String> {
    let (ports, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((ports, protocol)) => (ports, parse_protocol(protocol)?),
    };
    let (host_ip, host, container) = split(ports)?;
    let (first, last) = parse_range(container, "container")?;
    if first == 0 {
        return Err("a port of the container is between 1 and 65535".to_owned());
    }
    let picked = host.is_none_or(|host| host.is_empty() || host == "0");
    let host_first = match host {
        Some(host) if !picked => {
            let (host_first, host_last) = parse_range(host, "host")?;
            if host_last - host_first != last - first {
                return Err(format!("the ranges {host} and {container} differ in length"));
            }
            if host_first == 0 {
                return Err(format!("the range {host} begins with port 0"));
            }
            host_first
        }
        _ => 0,
    };
    let mapping = |port: u16| PortMapping {
        host_ip,
        host_port: if picked { 0 } else { host_first + (port - first) },
        container_port: port,
        protocol,
    };
    Ok((first..=last).map(mapping).collect())
}

type Parts<'a> = (Option<IpAddr>, Option<&'a str>, &'a str);

fn split(ports: &str) -> Result<Parts<'_>, String> {
    let (host, container) = match ports.rsplit_once(':') {
        None => return Ok((None, None, ports)),
        Some(parts) => parts,
    };
    let (address, host) = match host.rsplit_once(':') {
        None => return Ok((None, Some(host), container)),
        Some(parts) => parts,
    };
    let bare = match address.strip_prefix('[') {
        Some(rest) => {
            rest.strip_suffix(']').ok_or_else(|| format!("`{address}` lacks its closing bracket"))?
        }
        None if address.parse::<Ipv6Addr>().is_ok() => {
            return Err(format!("the IPv6 address `{address}` needs brackets"));
        }
        None if address.contains(':') => {
            return Err("it is not of the form [[IP:]HOST:]CONTAINER[/PROTOCOL]".to_owned());
        }
        None => address,
    };
    match bare.parse().map_err(|_| format!("`{address}` is not an IP address"))? {
        // Said before anything is fetched or made.
        IpAddr::V6(_) => {
            Err("containers have IPv4 addresses only; publish on an IPv4 address of this machine, or on none"
                .to_owned())
        }
        parsed => Ok((Some(parsed).filter(|ip| *ip != Ipv4Addr::UNSPECIFIED), Some(host), container)),
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err(format!("the protocol `{text}` is neither tcp nor udp")),
    }
}

fn parse_range(text: &str, whose: &str) -> Result<(u16, u16), String> {
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let port = plain.then(|| digits.parse().ok()).flatten();
        port.ok_or_else(|| format!("`{digits}` is not a port of the {whose} (0 to 65535)"))
    };
    let (first, last) = match text.split_once('-') {
        None => (number(text)?, number(text)?),
        Some((first, last)) => (number(first)?, number(last)?),
    };
    if first > last {
        return Err(format!("the range {text} runs backwards"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        PortMapping::parse(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_form_of_podmans_publish_flag_is_understood() {
        assert_eq!(shown("80"), ["0.0.0.0:0->80/tcp"]);
        assert_eq!(shown("8080:80"), ["0.0.0.0:8080->80/tcp"]);
        assert_eq!(shown(":80"), ["0.0.0.0:0->80/tcp"]);
        assert_eq!(shown("0:80"), ["0.0.0.0:0->80/tcp"]);
        assert_eq!(shown("0.0.0.0:53:53/udp"), ["0.0.0.0:53->53/udp"]);
        assert_eq!(shown("127.0.0.1:8080:80/TCP"), ["127.0.0.1:8080->80/tcp"]);
        assert_eq!(shown("127.0.0.1::80"), ["127.0.0.1:0->80/tcp"]);
        assert_eq!(
            shown("8000-8002:80-82"),
            ["0.0.0.0:8000->80/tcp", "0.0.0.0:8001->81/tcp", "0.0.0.0:8002->82/tcp"]
        );
        assert_eq!(shown("80-81/udp"), ["0.0.0.0:0->80/udp", "0.0.0.0:0->81/udp"]);
        assert_eq!(shown("65535:65535"), ["0.0.0.0:65535->65535/tcp"]);
    }

    #[test]
    fn a_publish_text_that_means_nothing_is_refused_with_itself_and_the_reason() {
        for (text, reason) in [
            ("", "`` is not a port of the container"),
            ("http", "`http` is not a port"),
            ("8080:", "`` is not a port of the container"),
            ("8080:0", "between 1 and 65535"),
            ("70000:80", "`70000` is not a port of the host"),
            ("+1:80", "`+1` is not a port"),
            ("80:-1", "`` is not a port"),
            ("80/sctp", "neither tcp nor udp"),
            ("80/", "neither tcp nor udp"),
            ("1-2:80", "differ in length"),
            ("0-1:80-81", "begins with port 0"),
            ("9-8:80-81", "runs backwards"),
            ("300.0.0.1:80:80", "not an IP address"),
            ("::1:80:80", "needs brackets"),
            ("8080:80:90:100", "not of the form [[IP:]HOST:]CONTAINER"),
            ("[::1:80:80", "closing bracket"),
            ("[::1]:8080:80", "IPv4 addresses only"),
            ("[::]:8080:80", "IPv4 addresses only"),
            ("host:80:80", "`host` is not an IP address"),
        ] {
            let refusal = PortMapping::parse(text).unwrap_err().to_string();
            assert!(refusal.contains(&format!("`{text}`")) && refusal.contains(reason), "{text}: {refusal}");
        }
    }
}
