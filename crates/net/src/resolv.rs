//! The sandbox's /etc/resolv.conf (resolv.conf(5)).

use std::fmt::Write;
use std::net::IpAddr;

/// Where systemd-resolved keeps the nameservers that its stub at 127.0.0.53 asks. To be read instead of
/// /etc/resolv.conf when [`needs_upstream_servers`] says so.
pub const UPSTREAM_RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// What was asked for on the command line.
#[derive(Clone, Debug, Default)]
pub struct ResolvOptions {
    /// Nameservers instead of the host's (`--dns`).
    pub servers: Vec<IpAddr>,
    /// Search domains instead of the host's (`--dns-search`); a single `.` means none.
    pub searches: Vec<String>,
    /// Options instead of the host's (`--dns-option`).
    pub options: Vec<String>,
    /// The sandbox has a network of its own, in which the host's loopback nameservers cannot be reached.
    pub own_network: bool,
}

/// Whether every nameserver of this file listens on the host's loopback, as systemd-resolved's stub does, so that a sandbox with
/// a network of its own needs [`UPSTREAM_RESOLV_CONF`].
#[must_use]
pub fn needs_upstream_servers(host: &str) -> bool {
    let servers = Parsed::read(host).servers;
    !servers.is_empty() && servers.iter().all(|server| is_loopback(server))
}

/// The text of the sandbox's resolv.conf, made from the host's and what was asked for.
///
/// A sandbox with a network of its own gets no loopback nameserver; if none is left it gets no `nameserver` line, which the
/// caller can see by [`str::contains`] and warn of. Unknown lines of the host are left out.
#[must_use]
pub fn resolv_conf(host: &str, options: &ResolvOptions) -> String {
    let mut parsed = Parsed::read(host);
    if !options.servers.is_empty() {
        parsed.servers = options.servers.iter().map(ToString::to_string).collect();
    } else if options.own_network {
        parsed.servers.retain(|server| !is_loopback(server) && !is_ipv6(server));
    }
    match options.searches.as_slice() {
        [] => {}
        [dot] if dot == "." => parsed.searches.clear(),
        searches => parsed.searches = searches.to_vec(),
    }
    if !options.options.is_empty() {
        parsed.options.clone_from(&options.options);
    }
    parsed.to_string()
}

#[derive(Default)]
struct Parsed {
    searches: Vec<String>,
    servers: Vec<String>,
    options: Vec<String>,
}

impl Parsed {
    fn read(text: &str) -> Parsed {
        let mut parsed = Parsed::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(ToOwned::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => parsed.servers.extend(words.next()),
                // The last of `domain` and `search` lines counts.
                Some("domain" | "search") => parsed.searches = words.collect(),
                Some("options") => parsed.options.extend(words),
                _ => {}
            }
        }
        parsed
    }
}

impl std::fmt::Display for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        if !self.searches.is_empty() {
            writeln!(text, "search {}", self.searches.join(" "))?;
        }
        for server in &self.servers {
            writeln!(text, "nameserver {server}")?;
        }
        if !self.options.is_empty() {
            writeln!(text, "options {}", self.options.join(" "))?;
        }
        f.write_str(&text)
    }
}

fn address(server: &str) -> Option<IpAddr> {
    server.split('%').next()?.parse().ok()
}

fn is_loopback(server: &str) -> bool {
    match address(server) {
        Some(IpAddr::V6(v6)) => v6.to_canonical().is_loopback(),
        Some(v4) => v4.is_loopback(),
        None => false,
    }
}

/// The bridge speaks IPv4 only.
fn is_ipv6(server: &str) -> bool {
    address(server).is_some_and(|address| address.is_ipv6())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# made by hand\ndomain old.example\nsearch a.example b.example\nnameserver 127.0.0.1\n\
                        nameserver 192.0.2.53\nnameserver ::1\nnameserver fe80::1%eth0\n; note\noptions ndots:2 edns0\n";

    #[test]
    fn a_sandbox_with_its_own_network_gets_no_nameserver_that_it_cannot_reach() {
        let options = ResolvOptions { own_network: true, ..ResolvOptions::default() };
        let expected = "search a.example b.example\nnameserver 192.0.2.53\noptions ndots:2 edns0\n";
        assert_eq!(resolv_conf(HOST, &options), expected);
        assert_eq!(resolv_conf("nameserver ::ffff:127.0.0.1\n", &options), "");
    }

    #[test]
    fn a_sandbox_in_the_hosts_network_keeps_the_hosts_nameservers() {
        let text = resolv_conf(HOST, &ResolvOptions::default());
        assert!(text.contains("nameserver 127.0.0.1\n") && text.contains("nameserver ::1\n"), "{text}");
    }

    #[test]
    fn what_was_asked_for_replaces_what_the_host_has() {
        let options = ResolvOptions {
            servers: vec!["127.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            searches: vec!["c.example".into()],
            options: vec!["timeout:1".into(), "rotate".into()],
            own_network: true,
        };
        let expected =
            "search c.example\nnameserver 127.0.0.1\nnameserver 2001:db8::1\noptions timeout:1 rotate\n";
        assert_eq!(resolv_conf(HOST, &options), expected);
        let none = ResolvOptions { searches: vec![".".into()], ..ResolvOptions::default() };
        assert!(!resolv_conf(HOST, &none).contains("search"));
    }

    #[test]
    fn a_stub_resolver_on_loopback_is_recognised() {
        assert!(needs_upstream_servers("nameserver 127.0.0.53\noptions edns0\n"));
        assert!(!needs_upstream_servers(HOST));
        assert!(!needs_upstream_servers(""));
        assert!(!needs_upstream_servers("nameserver\nnameserver what\n"));
    }
}
