//! Sandboxes on the bridge, judged by `ip`, by `nft` and by real traffic.

// The judges' own failures are panics too.
#[allow(clippy::unwrap_used, clippy::expect_used, dead_code)]
mod judge;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use crate::judge::{
        HOST, Machine, NEIGHBOUR, ask_tcp, ask_udp, attach, inside, ip, new_netns, nft, serve_tcp, serve_udp,
    };

    #[test]
    fn a_sandbox_gets_an_address_a_way_out_and_loopback() {
        let machine = Machine::new();
        let netns = new_netns();
        let attached = attach(&machine, "one", &netns, "").attachment;
        assert_eq!(attached.ip, Ipv4Addr::new(10, 207, 0, 2));
        let inner = inside(&netns, || ip("-o addr") + &ip("route") + &ip("-o link"));
        assert!(inner.contains("inet 127.0.0.1/8"), "{inner}");
        assert!(inner.contains("inet 10.207.0.2/16 brd 10.207.255.255"), "{inner}");
        assert!(inner.contains("default via 10.207.0.1 dev eth0"), "{inner}");
        assert!(inner.contains(&attached.mac), "{inner}");
        assert!(ip("-o addr show gaufre0").contains("inet 10.207.0.1/16"));
        assert!(ip("-o link show master gaufre0").contains(&attached.veth));
        // The neighbour has no route to the sandbox: it only answers because the sender looks like the machine.
        serve_tcp(&machine.neighbour, 7);
        assert_eq!(inside(&netns, || ask_tcp(NEIGHBOUR, 7)), Some(HOST.to_string()));
        machine.net.detach("one").unwrap();
    }

    #[test]
    fn a_published_port_is_reached_from_everywhere_it_should_be() {
        let machine = Machine::new();
        let (netns, other) = (new_netns(), new_netns());
        let attached = attach(&machine, "web", &netns, "8080:80 5353:53/udp");
        let second = attach(&machine, "other", &other, "");
        serve_tcp(&netns, 80);
        serve_udp(&netns, 53);
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 5), HOST, attached.attachment.gateway] {
            assert!(ask_tcp(address, 8080).is_some(), "tcp from the machine to {address}");
            assert!(ask_udp(address, 5353).is_some(), "udp from the machine to {address}");
        }
        assert_eq!(ask_tcp(attached.attachment.ip, 80), Some(attached.attachment.gateway.to_string()));
        // A client elsewhere is seen with its own address.
        assert_eq!(inside(&machine.neighbour, || ask_tcp(HOST, 8080)), Some(NEIGHBOUR.to_string()));
        assert_eq!(inside(&machine.neighbour, || ask_udp(HOST, 5353)), Some(NEIGHBOUR.to_string()));
        for address in [HOST, attached.attachment.gateway] {
            assert!(inside(&other, || ask_tcp(address, 8080)).is_some(), "hairpin by {address}");
            assert!(inside(&other, || ask_udp(address, 5353)).is_some(), "udp hairpin by {address}");
            assert!(inside(&netns, || ask_tcp(address, 8080)).is_some(), "to itself by {address}");
        }
        let direct = inside(&other, || ask_tcp(attached.attachment.ip, 80));
        assert_eq!(direct, Some(second.attachment.ip.to_string()));
        machine.net.detach("web").unwrap();
        assert_eq!(ask_tcp(HOST, 8080), None);
    }

    #[test]
    fn a_sandbox_cannot_tell_the_machine_where_to_send_its_packets() {
        let machine = Machine::new();
        // The most trusting machine: every new link takes advertisements although it forwards.
        for (setting, value) in [("accept_ra", "2"), ("autoconf", "1"), ("disable_ipv6", "0")] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/default/{setting}"), value).unwrap();
        }
        let netns = new_netns();
        let attached = attach(&machine, "one", &netns, "").attachment;
        assert!(!ip("-o addr show gaufre0").contains("inet6"));
        assert!(!ip(&format!("-o addr show {}", attached.veth)).contains("inet6"));
        for setting in ["accept_redirects", "send_redirects"] {
            let path = format!("/proc/sys/net/ipv4/conf/gaufre0/{setting}");
            assert_eq!(std::fs::read_to_string(path).unwrap(), "0\n", "{setting}");
        }
        inside(&netns, || {
            // A default router of high preference for an hour, with a prefix to take an address from.
            std::fs::write("/proc/sys/net/ipv6/conf/eth0/accept_dad", "0").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
            std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "0").unwrap();
            ip("addr replace fe80::1/64 dev eth0 nodad");
            advertise();
        });
        assert!(!ip("-6 route").contains("gaufre0"), "{}", ip("-6 route"));
        assert!(!ip("-o -6 addr").contains("2001:db8"), "{}", ip("-o -6 addr"));
        machine.net.detach("one").unwrap();
    }

    #[test]
    fn with_the_last_user_gone_nothing_is_left() {
        let machine = Machine::new();
        let before = (ip("-o link"), ip("-o addr"), ip("route"), nft("list ruleset"), forwarding());
        let (one, two) = (new_netns(), new_netns());
        attach(&machine, "one", &one, "80:80");
        attach(&machine, "two", &two, "127.0.0.1:81:80 82:80/udp");
        assert_eq!(forwarding(), "1");
        machine.net.detach("one").unwrap();
        assert!(nft("list ruleset").contains("table ip gaufre0"));
        machine.net.detach("two").unwrap();
        machine.net.detach("two").unwrap();
        assert_eq!(before, (ip("-o link"), ip("-o addr"), ip("route"), nft("list ruleset"), forwarding()));
    }

    /// Sends a router advertisement to all nodes (RFC 4861, section 4.2) from the calling thread's `eth0`.
    fn advertise() {
        use rustix::net::sockopt::{set_ipv6_multicast_hops, set_ipv6_unicast_hops};
        use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
        let socket = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)).unwrap();
        set_ipv6_unicast_hops(&socket, Some(255)).unwrap();
        set_ipv6_multicast_hops(&socket, 255).unwrap();
        let mut packet = vec![134, 0, 0, 0, 64, 0x08, 0x0e, 0x10];
        packet.extend([0; 8]);
        // One prefix, on the link and for addresses.
        packet.extend([3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
        packet.extend("2001:db8::".parse::<std::net::Ipv6Addr>().unwrap().octets());
        let eth0: u32 = std::fs::read_to_string("/proc/thread-self/net/dev_snmp6/eth0")
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let everyone = std::net::SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, eth0);
        sendto(&socket, &packet, SendFlags::empty(), &everyone).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
    }

    fn forwarding() -> String {
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim().to_owned()
    }
}
