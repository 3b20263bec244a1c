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

    fn forwarding() -> String {
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim().to_owned()
    }
}
