//! What goes wrong around the bridge: ports in use, flushed rules, hostile neighbours.

// The judges' own failures are panics too.
#[allow(clippy::unwrap_used, clippy::expect_used, dead_code)]
mod judge;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
    use std::os::fd::AsFd;
    use std::process::Command;
    use std::thread;
    use std::time::{Duration, Instant};

    use gaufre_net::{AttachRequest, Net, PortMapping, Protocol};
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use crate::judge::{
        HOST, Machine, NEIGHBOUR, ask_tcp, ask_udp_from, attach, inside, ip, new_netns, nft, serve_tcp,
        serve_udp, traces, try_attach,
    };

    #[test]
    fn a_port_that_cannot_be_published_is_named_and_leaves_no_trace() {
        let machine = Machine::new();
        let before = traces(machine.run.path());
        let netns = new_netns();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)).unwrap();
        let refused = |ports: &str| try_attach(&machine.net, "web", &netns, ports).unwrap_err();
        let message = refused("8079:79 8080:80");
        assert!(message.contains("port 8080/tcp of the host is in use"), "{message}");
        assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
        let ipv6 = PortMapping {
            host_ip: Some(Ipv6Addr::LOCALHOST.into()),
            host_port: 80,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let request = AttachRequest { id: "web", netns: netns.as_fd(), ports: &[ipv6] };
        let refusal = machine.net.attach(&request).unwrap_err().to_string();
        assert!(refusal.contains("cannot publish a port on [::1]"), "{refusal}");
        assert!(refused("192.0.2.77:80:80").contains("192.0.2.77 is not an address of this machine"));
        assert!(refused("81:80 127.0.0.1:81:82").contains("port 81/tcp of the host is published twice"));
        assert!(try_attach(&machine.net, "../up", &netns, "").unwrap_err().contains("`../up`"));
        assert_eq!(before, traces(machine.run.path()));
        drop(taken);
        attach(&machine, "web", &netns, "8080:80");
        machine.net.detach("web").unwrap();
    }

    #[test]
    fn a_sandbox_that_cannot_be_connected_leaves_no_trace() {
        let machine = Machine::new();
        let before = traces(machine.run.path());
        let netns = new_netns();
        inside(&netns, || ip("link add eth0 type veth peer name other"));
        let message = try_attach(&machine.net, "web", &netns, "8080:80").unwrap_err();
        assert!(message.contains("container web"), "{message}");
        assert_eq!(before, traces(machine.run.path()));
    }

    #[test]
    fn a_run_directory_whose_bridge_went_away_leaves_another_s_alone() {
        let machine = Machine::new();
        let _one = attach(&machine, "one", &new_netns(), "");
        ip("link del gaufre0");
        nft("delete table ip gaufre0");
        let run = tempfile::tempdir().unwrap();
        let (other, netns) = (Net::open(run.path()).unwrap(), new_netns());
        let two = try_attach(&other, "two", &netns, "8080:80").unwrap();
        serve_tcp(&netns, 80);
        assert!(ip("link show gaufre0").contains("UP"));
        machine.net.detach("one").unwrap();
        machine.net.gc(&[]).unwrap();
        assert_eq!(ask_tcp(Ipv4Addr::LOCALHOST, 8080), Some(two.attachment.gateway.to_string()));
        other.detach("two").unwrap();
    }

    #[test]
    fn a_port_belongs_to_its_sandbox_even_after_the_keeper_died() {
        let machine = Machine::new();
        let (one, two) = (new_netns(), new_netns());
        let mut first = attach(&machine, "one", &one, "8080:80");
        let message = try_attach(&machine.net, "two", &two, "8080:80").unwrap_err();
        assert!(message.contains("port 8080/tcp of the host is in use"), "{message}");
        first.reservations.clear();
        // A process that another test starts this moment holds every descriptor of ours until it executes.
        let deadline = Instant::now() + Duration::from_secs(60);
        let message = loop {
            let message = try_attach(&machine.net, "two", &two, "8080:80").unwrap_err();
            if !message.contains("is in use") || Instant::now() > deadline {
                break message;
            }
        };
        assert!(message.contains("published by container one") && message.contains("8080"), "{message}");
        let again = machine.net.reserve_ports(&first.attachment).unwrap();
        assert!(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080)).is_err());
        drop(again);
        machine.net.detach("one").unwrap();
        machine.net.detach("two").unwrap();
    }

    #[test]
    fn a_rule_that_nobody_accounts_for_does_not_keep_a_port_from_the_next() {
        let machine = Machine::new();
        let (one, two) = (new_netns(), new_netns());
        attach(&machine, "one", &one, "");
        nft("add element ip gaufre0 publish_any { tcp . 8080 : 10.207.0.99 . 80 }");
        attach(&machine, "two", &two, "8080:80");
        serve_tcp(&two, 80);
        assert!(ask_tcp(HOST, 8080).is_some());
        machine.net.detach("one").unwrap();
        machine.net.detach("two").unwrap();
    }

    #[test]
    fn ports_left_to_us_are_free_ones_and_ranges_keep_their_order() {
        let machine = Machine::new();
        let netns = new_netns();
        let attached = attach(&machine, "web", &netns, "80 9000-9002:90-92 127.0.0.1::81/udp");
        let shown: Vec<_> = attached.attachment.ports.iter().map(ToString::to_string).collect();
        assert!(attached.attachment.ports.iter().all(|port| port.host_port != 0), "{shown:?}");
        assert_eq!(shown[1..4], ["0.0.0.0:9000->90/tcp", "0.0.0.0:9001->91/tcp", "0.0.0.0:9002->92/tcp"]);
        assert_eq!(attached.reservations.len(), 5);
        serve_tcp(&netns, 80);
        assert!(ask_tcp(HOST, attached.attachment.ports[0].host_port).is_some());
        assert_eq!(machine.net.attachment("web").unwrap(), Some(attached.attachment.clone()));
        assert_eq!(machine.net.list().unwrap(), [attached.attachment]);
        machine.net.detach("web").unwrap();
    }

    #[test]
    fn thousands_of_ports_are_published_and_rebuilt_in_one_step() {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
        let machine = Machine::new();
        let netns = new_netns();
        let attached = attach(&machine, "web", &netns, "10000-15999:1-6000 127.0.0.1:20000:80");
        assert_eq!(attached.reservations.len(), 6001);
        serve_tcp(&netns, 5999);
        assert!(ask_tcp(HOST, 15998).is_some());
        machine.net.reconcile().unwrap();
        assert_eq!(nft("list table ip gaufre0").matches("10.207.0.2 . ").count(), 6001);
        machine.net.release("web").unwrap();
        assert!(!nft("list table ip gaufre0").contains("10.207.0.2 . "));
        machine.net.sweep().unwrap();
    }

    #[test]
    fn flushed_rules_and_a_deleted_bridge_are_rebuilt() {
        let machine = Machine::new();
        let (netns, other) = (new_netns(), new_netns());
        nft("add table ip somebody_else");
        attach(&machine, "web", &netns, "8080:80 127.0.0.1:8081:80");
        serve_tcp(&netns, 80);
        let rules = nft("list table ip gaufre0");
        nft("flush ruleset");
        assert_eq!(ask_tcp(HOST, 8080), None);
        machine.net.reconcile().unwrap();
        assert_eq!(nft("list table ip gaufre0"), rules);
        assert!(ask_tcp(HOST, 8080).is_some());
        ip("link del gaufre0");
        fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        machine.net.reconcile().unwrap();
        assert_eq!(inside(&machine.neighbour, || ask_tcp(HOST, 8080)), Some(NEIGHBOUR.to_string()));
        assert!(ask_tcp(Ipv4Addr::LOCALHOST, 8081).is_some());
        // The next to attach finds out by itself.
        nft("flush ruleset");
        attach(&machine, "other", &other, "");
        assert!(inside(&machine.neighbour, || ask_tcp(HOST, 8080)).is_some());
        machine.net.detach("web").unwrap();
        machine.net.detach("other").unwrap();
        assert_eq!(nft("list ruleset"), "");
        machine.net.reconcile().unwrap();
        assert_eq!(nft("list ruleset"), "");
    }

    #[test]
    fn somebody_elses_tables_and_bridge_are_left_alone() {
        let machine = Machine::new();
        nft("add table ip somebody_else");
        ip("link add gaufre0 type bridge");
        ip("link set up0 mtu 1400");
        ip("route add 10.207.77.0/24 dev up0");
        let netns = new_netns();
        let attached = attach(&machine, "web", &netns, "8080:80").attachment;
        assert_eq!(attached.ip, Ipv4Addr::new(10, 208, 0, 2));
        assert!(ip("-o link show master gaufre1").contains(&attached.veth));
        assert!(inside(&netns, || ip("-o link show eth0")).contains("mtu 1400"));
        machine.net.detach("web").unwrap();
        assert_eq!(nft("list ruleset").trim(), "table ip somebody_else {\n}");
        assert!(ip("-o link").contains("gaufre0") && !ip("-o link").contains("gaufre1"));
        // The network is remembered, though the first choice is free by now.
        ip("route del 10.207.77.0/24 dev up0");
        assert_eq!(attach(&machine, "web", &new_netns(), "").attachment.ip, Ipv4Addr::new(10, 208, 0, 3));
        machine.net.detach("web").unwrap();
    }

    #[test]
    fn neither_a_sandbox_nor_a_neighbour_reaches_what_is_not_published_for_it() {
        let machine = Machine::new();
        let netns = new_netns();
        let attached = attach(&machine, "web", &netns, "127.0.0.1:8080:80").attachment;
        serve_tcp(&netns, 80);
        let own = File::open("/proc/thread-self/ns/net").unwrap();
        serve_tcp(&own, 9);
        let rules = || {
            fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
            fs::write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "0").unwrap();
            ip("addr del 127.0.0.1/8 dev lo");
            ip("route flush table local exact 127.0.0.1");
        };
        inside(&machine.neighbour, || {
            rules();
            ip(&format!("route add 127.0.0.1 via {HOST}"));
            ip(&format!("route add 10.207.0.0/16 via {HOST}"));
            assert_eq!(ask_tcp(Ipv4Addr::LOCALHOST, 8080), None, "a port published on loopback only");
            assert_eq!(ask_tcp(HOST, 8080), None, "the same by the machine's address");
            assert_eq!(ask_tcp(attached.ip, 80), None, "a port that is not published");
        });
        inside(&netns, || {
            rules();
            ip(&format!("route add 127.0.0.1 via {}", attached.gateway));
            assert_eq!(ask_tcp(Ipv4Addr::LOCALHOST, 9), None, "the machine's loopback");
            assert!(ask_tcp(attached.gateway, 9).is_some(), "the machine itself");
        });
        assert!(ask_tcp(Ipv4Addr::LOCALHOST, 8080).is_some());
        machine.net.detach("web").unwrap();
    }

    #[test]
    fn a_udp_client_that_never_stops_sending_finds_the_next_sandbox() {
        let machine = Machine::new();
        let client = inside(&machine.neighbour, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        let ask = || ask_udp_from(&client, HOST, 5353);
        // The kernel remembers connections only once there are rules.
        let other = new_netns();
        attach(&machine, "other", &other, "");
        assert_eq!(ask(), None);
        for _ in 0..2 {
            let netns = new_netns();
            attach(&machine, "dns", &netns, "5353:53/udp");
            serve_udp(&netns, 53);
            assert_eq!(ask(), Some(NEIGHBOUR.to_string()));
            machine.net.detach("dns").unwrap();
        }
        machine.net.detach("other").unwrap();
    }

    #[test]
    fn two_run_directories_have_two_networks_and_forwarding_ends_with_the_last() {
        let machine = Machine::new();
        let second = tempfile::tempdir().unwrap();
        let other = Net::open(second.path()).unwrap();
        let (one, two) = (new_netns(), new_netns());
        attach(&machine, "web", &one, "8080:80");
        let attached = try_attach(&other, "web", &two, "8081:80").unwrap().attachment;
        serve_tcp(&two, 80);
        assert_eq!(attached.ip, Ipv4Addr::new(10, 208, 0, 2));
        machine.net.detach("web").unwrap();
        assert!(inside(&machine.neighbour, || ask_tcp(HOST, 8081)).is_some());
        other.detach("web").unwrap();
        assert_eq!(nft("list ruleset"), "");
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "0\n");
        assert!(!ip("-o link").contains("gaufre"));
    }

    #[test]
    fn a_forward_policy_that_drops_is_named_until_the_remedy_is_carried_out() {
        let machine = Machine::new();
        let netns = new_netns();
        attach(&machine, "web", &netns, "8080:80");
        serve_tcp(&netns, 80);
        assert_eq!(machine.net.forward_obstacles().unwrap(), []);
        nft("add table ip filter");
        nft("add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }");
        let obstacles = machine.net.forward_obstacles().unwrap();
        assert_eq!(
            obstacles.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["chain ip filter FORWARD"]
        );
        assert_eq!(inside(&machine.neighbour, || ask_tcp(HOST, 8080)), None);
        assert!(ask_tcp(HOST, 8080).is_some());
        for command in obstacles[0].remedy() {
            assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
        }
        assert_eq!(machine.net.forward_obstacles().unwrap(), []);
        assert!(inside(&machine.neighbour, || ask_tcp(HOST, 8080)).is_some());
        machine.net.detach("web").unwrap();
    }

    #[test]
    fn a_forward_chain_that_ends_by_refusing_is_named_and_one_that_refuses_something_is_not() {
        let machine = Machine::new();
        let named = || -> Vec<String> {
            machine.net.forward_obstacles().unwrap().iter().map(ToString::to_string).collect()
        };
        nft("add table inet firewalld");
        nft(
            "add chain inet firewalld filter_FORWARD { type filter hook forward priority 10 ; policy accept ; }",
        );
        nft("add rule inet firewalld filter_FORWARD ct state established,related accept");
        nft("add rule inet firewalld filter_FORWARD ip daddr 192.0.2.1 drop");
        assert_eq!(named(), [""; 0]);
        nft("add rule inet firewalld filter_FORWARD counter reject with icmpx type admin-prohibited");
        assert_eq!(named(), ["chain inet firewalld filter_FORWARD"]);
        nft("add table ip6 filter");
        nft("add chain ip6 filter FORWARD { type filter hook forward priority 0 ; policy drop ; }");
        nft("add table ip other");
        nft("add chain ip other input { type filter hook input priority 0 ; policy drop ; }");
        assert_eq!(named(), ["chain inet firewalld filter_FORWARD"]);
        // As firewalld does for the interface of a zone.
        nft("add chain inet firewalld zones");
        nft("add rule inet firewalld zones iifname gaufre0 accept");
        assert_eq!(named(), [""; 0]);
    }

    #[test]
    fn a_released_sandbox_leaves_nothing_after_a_few_seconds() {
        let machine = Machine::new();
        let before = traces(machine.run.path());
        let netns = new_netns();
        let attached = attach(&machine, "web", &netns, "8080:80");
        machine.net.release("web").unwrap();
        assert_eq!(ask_tcp(HOST, 8080), None);
        assert!(!nft("list ruleset").contains("8080"));
        drop((attached, netns));
        let deadline = Instant::now() + Duration::from_secs(60);
        while ip("-o link").contains("gf0-") {
            assert!(Instant::now() < deadline, "{}", ip("-o link"));
            thread::sleep(Duration::from_millis(20));
        }
        machine.net.sweep().unwrap();
        assert_eq!(before, traces(machine.run.path()));
    }

    #[test]
    fn state_of_an_earlier_boot_or_torn_by_a_power_cut_is_forgotten() {
        let machine = Machine::new();
        let netns = new_netns();
        attach(&machine, "web", &netns, "8080:80");
        machine.net.detach("web").unwrap();
        let directory = machine.run.path().join("net");
        fs::write(directory.join("attachments/10.207.0.9@old.json"), "").unwrap();
        fs::write(directory.join("network.json"), "{\"boot\":").unwrap();
        let attached = attach(&machine, "web", &netns, "8080:80");
        assert_eq!(attached.attachment.ip, Ipv4Addr::new(10, 207, 0, 2));
        assert_eq!(machine.net.list().unwrap().len(), 1);
        machine.net.detach("web").unwrap();
        assert_eq!(nft("list ruleset"), "");
    }
}
