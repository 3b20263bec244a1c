//! Containers reach each other, the host reaches them, and the rules come back if somebody takes them away.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, Said, free_port, get, run, tool, until};
    use serde_json::Value;
    use std::net::{SocketAddr, UdpSocket};
    use std::time::Duration;

    fn inspect(gaufre: &Gaufre, name: &str) -> Value {
        let all: Value = serde_json::from_str(&gaufre.ok(&["inspect", name])).unwrap();
        all[0].clone()
    }

    fn address(gaufre: &Gaufre, name: &str) -> String {
        let inspected = inspect(gaufre, name);
        let address = inspected["NetworkSettings"]["IPAddress"].as_str();
        address.unwrap_or_else(|| panic!("no address: {inspected}")).to_owned()
    }

    fn web(gaufre: &Gaufre, registry: &Registry, options: &[&str]) {
        let image = gaufre.pull(registry, "nginx");
        gaufre.ok(&[&["run", "-d", "--name", "web"], options, &[&image]].concat());
    }

    /// A request in bash, for images without a client.
    fn ask(host: &str) -> String {
        format!("exec 3<>/dev/tcp/{host}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3")
    }

    #[test]
    fn a_container_reaches_its_neighbour_by_address() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        web(&gaufre, &registry, &[]);
        let base = gaufre.pull(&registry, "base");
        let script = ask(&address(&gaufre, "web"));
        until("the page", || {
            let said = gaufre.say(&["run", "--rm", &base, "bash", "-c", &script]);
            said.out.contains("A page out of a container").then_some(())
        });
    }

    #[test]
    fn parameters_of_the_bridges_interface_are_set_once_it_is_there() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let base = gaufre.pull(&registry, "base");
        let run = |interface: &str| {
            let sysctl = format!("--sysctl=net.ipv4.conf.{interface}.arp_announce=2");
            let file = format!("/proc/sys/net/ipv4/conf/{interface}/arp_announce");
            gaufre.say(&["run", "--rm", &sysctl, "--sysctl=net.core.somaxconn=77", &base, "cat", &file])
        };
        let said = run("eth0");
        assert_eq!(said.out, "2\n", "{said:?}");
        let said = run("eth7");
        assert!(said.err.contains("net.ipv4.conf.eth7.arp_announce"), "{said:?}");
    }

    /// The kernel copies what is said of all interfaces, and `ip_forward`, into each.
    #[test]
    fn what_is_said_of_one_interface_counts_more_than_what_is_said_of_all() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let base = gaufre.pull(&registry, "base");
        for all in
            ["net.ipv4.conf.all.forwarding=0", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"]
        {
            let version = &all[4..8];
            let file = format!("/proc/sys/net/{version}/conf/eth0/forwarding");
            let (all, one) =
                (format!("--sysctl={all}"), format!("--sysctl=net.{version}.conf.eth0.forwarding=1"));
            for _ in 0..4 {
                assert_eq!(gaufre.ok(&["run", "--rm", &all, &one, &base, "cat", &file]), "1\n", "{all}");
            }
        }
    }

    #[test]
    fn a_container_in_anothers_network_shares_its_loopback() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        web(&gaufre, &registry, &[]);
        let base = gaufre.pull(&registry, "base");
        let script = ask("127.0.0.1");
        until("the page", || {
            let said = gaufre.say(&["run", "--rm", "--network=container:web", &base, "bash", "-c", &script]);
            said.out.contains("A page out of a container").then_some(())
        });
    }

    #[test]
    fn a_container_in_the_hosts_network_sees_the_hosts_links() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let base = gaufre.pull(&registry, "base");
        let routes = |text: &str| {
            text.lines().filter(|line| line.starts_with("eth") || line.starts_with("en")).count()
        };
        let inside = gaufre.ok(&["run", "--rm", "--network=host", &base, "cat", "/proc/net/route"]);
        let outside = std::fs::read_to_string("/proc/net/route").unwrap();
        assert_eq!(routes(&inside), routes(&outside));
    }

    #[test]
    fn a_published_udp_port_carries_datagrams() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let python = gaufre.pull(&registry, "python");
        let script = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 9))\n\
                      while True:\n d, a = s.recvfrom(99)\n s.sendto(d.upper(), a)";
        let port = free_port();
        let publish = format!("127.0.0.1:{port}:9/udp");
        gaufre.ok(&["run", "-d", "-p", &publish, &python, "python3", "-c", script]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let answer = until("a datagram", || {
            socket.send_to(b"syrup", ("127.0.0.1", port)).ok()?;
            let mut bytes = [0; 99];
            let (len, from) = socket.recv_from(&mut bytes).ok()?;
            Some((bytes[..len].to_vec(), from.port()))
        });
        assert_eq!(answer, (b"SYRUP".to_vec(), port));
    }

    #[test]
    fn rules_that_somebody_took_away_are_made_again() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let port = free_port();
        web(&gaufre, &registry, &["-p", &format!("127.0.0.1:{port}:80")]);
        let page = || get(SocketAddr::from(([127, 0, 0, 1], port)), "/").filter(|answer| answer.0 == 200);
        until("the page", page);

        // Ours is the table that knows the address of our container.
        let inside = address(&gaufre, "web");
        let tables = run(tool("nft").args(["list", "tables"]));
        let ours: Vec<&str> = tables
            .lines()
            .filter_map(|line| line.strip_prefix("table "))
            .filter(|table| {
                // Those of other tests come and go.
                let listed = tool("nft").args(["list", "table"]).args(table.split(' ')).output().unwrap();
                String::from_utf8_lossy(&listed.stdout).contains(&inside)
            })
            .collect();
        assert!(!ours.is_empty(), "no table knows {inside}:\n{tables}");
        for table in ours {
            run(tool("nft").args(["delete", "table"]).args(table.split(' ')));
        }
        assert_eq!(get(SocketAddr::from(([127, 0, 0, 1], port)), "/"), None, "a page without rules");

        let base = gaufre.pull(&registry, "base");
        gaufre.ok(&["run", "--rm", &base, "true"]);
        until("the page after the rules came back", page);
    }

    #[test]
    fn names_and_name_servers_are_written_for_the_container() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let base = gaufre.pull(&registry, "base");
        let options =
            ["run", "--rm", "--add-host", "iron:10.1.2.3", "--dns", "192.0.2.53", "--hostname", "waffle"];
        let script = "cat /etc/hosts /etc/resolv.conf /etc/hostname";
        let said = gaufre.ok(&[&options[..], &[&base, "bash", "-c", script]].concat());
        let has = |a: &str, b: &str| said.lines().any(|line| line.contains(a) && line.contains(b));
        assert!(has("10.1.2.3", "iron"), "{said}");
        assert!(has("nameserver", "192.0.2.53"), "{said}");
        assert!(has("127.0.0.1", "localhost"), "{said}");
        assert!(said.ends_with("waffle\n"), "{said}");
    }

    #[test]
    fn a_firewall_that_drops_forwarded_packets_is_named_with_its_remedy() {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let base = gaufre.pull(&registry, "base");
        // In a network namespace of its own, so that the rules bother nobody; its keepers are in it too.
        let said = |rules: &str, arguments: &[&str]| {
            let mut command = tool("unshare");
            let script = format!("ip link set lo up; {rules} exec \"$@\"");
            command.args(["--net", "sh", "-ec", &script, "sh"]);
            let run = gaufre.command();
            command.arg(run.get_program()).args(run.get_args()).args(arguments);
            Said::from(command.output().unwrap())
        };
        let drops = "nft add table ip filter; nft 'add chain ip filter FORWARD \
                     { type filter hook forward priority 0; policy drop; }';";
        let remedy = "nft insert rule ip filter FORWARD iifname '\"gaufre*\"' accept";
        let run = ["run", "--rm", &base, "true"];
        let dropped = said(drops, &run);
        assert!(dropped.code == 0 && dropped.err.contains("chain ip filter FORWARD"), "{dropped:?}");
        assert_eq!(dropped.err.matches(remedy).count(), 1, "{dropped:?}");
        let check = said(drops, &["system", "check"]);
        assert!(check.code == 0 && check.out.contains(remedy), "{check:?}");
        assert!(said(drops, &["info"]).out.contains(remedy));
        assert_eq!(said(drops, &["run", "--rm", "--network=none", &base, "true"]).err, "");
        assert_eq!(said(&format!("{drops} {remedy};"), &run).err, "");
        assert_eq!(said("", &run).err, "");
    }

    #[test]
    fn publishing_on_an_ipv6_address_is_refused_before_anything_is_made() {
        let gaufre = Gaufre::new();
        for address in ["[::1]:8080:80", "[::]:8080:80", "[2001:db8::1]::80/udp"] {
            let said = gaufre.fails(125, &["run", "-p", address, "127.0.0.1:1/none", "true"]);
            assert!(said.contains(address) && said.contains("IPv4 addresses only"), "{said}");
        }
        assert!(!gaufre.dir().join("root").exists());
    }
}
