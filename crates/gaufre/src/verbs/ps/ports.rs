//! Published ports as podman lists them: neighbours as one range.

use std::fmt;

use gaufre_engine::PortMapping;
use serde_json::{Value, json};

/// Ports of the host, one after the other, that lead to as many ports of a container.
#[derive(Debug)]
pub(super) struct PortRange {
    first: PortMapping,
    len: u16,
}

impl PortRange {
    /// The ranges that `ports` make up, by protocol, address and port of the host.
    pub(super) fn of(ports: &[PortMapping]) -> Vec<Self> {
        let mut sorted = ports.to_vec();
        sorted.sort_by_key(|port| (port.protocol, port.host_ip, port.host_port, port.container_port));
        let mut ranges: Vec<Self> = Vec::new();
        for port in sorted {
            match ranges.last_mut() {
                Some(range) if range.is_followed_by(&port) => range.len += 1,
                _ => ranges.push(Self { first: port, len: 1 }),
            }
        }
        ranges
    }

    fn is_followed_by(&self, port: &PortMapping) -> bool {
        let Self { first, len } = self;
        (port.protocol, port.host_ip) == (first.protocol, first.host_ip)
            && first.host_port.checked_add(*len) == Some(port.host_port)
            && first.container_port.checked_add(*len) == Some(port.container_port)
    }

    /// What podman's JSON says of it.
    pub(super) fn podman_json(&self) -> Value {
        let Self { first, len } = self;
        json!({
            "host_ip": first.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            "container_port": first.container_port,
            "host_port": first.host_port,
            "range": len,
            "protocol": first.protocol.to_string(),
        })
    }
}

/// `0.0.0.0:8080->80/tcp`, `0.0.0.0:8000-8002->80-82/tcp`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, len } = self;
        if *len == 1 {
            return first.fmt(f);
        }
        let PortMapping { host_ip, host_port, container_port, protocol } = first;
        let above = len - 1;
        let ip = host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        write!(f, "{ip}:{host_port}-{}->", host_port + above)?;
        write!(f, "{container_port}-{}/{protocol}", container_port + above)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(texts: &[&str]) -> String {
        let ports = texts.iter().flat_map(|text| PortMapping::parse(text).unwrap());
        let ranges = PortRange::of(&ports.collect::<Vec<_>>());
        ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn neighbouring_ports_are_one_range() {
        assert_eq!(shown(&["8000-8002:8000-8002"]), "0.0.0.0:8000-8002->8000-8002/tcp");
        assert_eq!(shown(&["8001:81", "8000:80"]), "0.0.0.0:8000-8001->80-81/tcp");
        assert_eq!(shown(&["8080:80"]), "0.0.0.0:8080->80/tcp");
        assert_eq!(shown(&["65534-65535:65534-65535"]), "0.0.0.0:65534-65535->65534-65535/tcp");
        assert_eq!(shown(&[]), "");
    }

    #[test]
    fn what_only_looks_like_a_neighbour_stands_alone() {
        assert_eq!(shown(&["8000:80", "8001:80"]), "0.0.0.0:8000->80/tcp, 0.0.0.0:8001->80/tcp");
        assert_eq!(shown(&["53:53/udp", "54:54"]), "0.0.0.0:54->54/tcp, 0.0.0.0:53->53/udp");
        assert_eq!(shown(&["80:80", "127.0.0.1:81:81"]), "0.0.0.0:80->80/tcp, 127.0.0.1:81->81/tcp");
        assert_eq!(shown(&["65535:80", "1:81"]), "0.0.0.0:1->81/tcp, 0.0.0.0:65535->80/tcp");
    }

    #[test]
    fn json_names_the_first_port_and_how_many_there_are() {
        let ports = PortMapping::parse("127.0.0.1:8000-8002:80-82").unwrap();
        let json = PortRange::of(&ports).first().map(PortRange::podman_json);
        let expect = json!({"host_ip": "127.0.0.1", "container_port": 80, "host_port": 8000, "range": 3, "protocol": "tcp"});
        assert_eq!(json, Some(expect));
    }
}
