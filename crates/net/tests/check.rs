//! What a check finds of what others did to the network, and that it is mended.

// The judges' own failures are panics too.
#[allow(clippy::unwrap_used, clippy::expect_used, dead_code)]
mod judge;

#[cfg(test)]
mod tests {
    use std::fs;

    use gaufre_net::Net;

    use crate::judge::{HOST, Machine, ask_tcp, attach, ip, new_netns, nft, serve_tcp, traces};

    /// Damages the network by `damage`; the check has to find `expected`, and nothing any more once it is mended.
    fn found_and_mended(machine: &Machine, damage: impl FnOnce(), expected: &[&str]) {
        assert_eq!(machine.net.check().unwrap(), [""; 0]);
        damage();
        let before = traces(machine.run.path());
        let found = machine.net.check().unwrap();
        assert_eq!(before, traces(machine.run.path()), "a check changes nothing");
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
        machine.net.reconcile().unwrap();
        assert_eq!(machine.net.check().unwrap(), [""; 0]);
    }

    #[test]
    fn rules_that_somebody_flushed_or_changed_are_reported_and_mended() {
        let machine = Machine::new();
        let netns = new_netns();
        attach(&machine, "web", &netns, "8080:80 127.0.0.1:8081:80 5353:53/udp");
        let run =
            |commands: &'static [&'static str]| move || commands.iter().for_each(|line| drop(nft(line)));
        found_and_mended(&machine, run(&["flush ruleset"]), &["the nf_tables table ip gaufre0 is missing"]);
        found_and_mended(
            &machine,
            run(&["flush chain ip gaufre0 postrouting"]),
            &["the chain postrouting of the table ip gaufre0 is not as gaufre made it"],
        );
        found_and_mended(
            &machine,
            run(&[
                "flush chain ip gaufre0 guard",
                "add rule ip gaufre0 guard iifname gaufre1 ip daddr 127.0.0.0/8 drop",
            ]),
            &["the chain guard of the table ip gaufre0 is not as gaufre made it"],
        );
        found_and_mended(
            &machine,
            run(&["add chain ip gaufre0 mine", "add rule ip gaufre0 forward drop"]),
            &[
                "the chain forward of the table ip gaufre0 is not as",
                "the chain mine of the table ip gaufre0 is not gaufre's",
            ],
        );
        found_and_mended(
            &machine,
            run(&["chain ip gaufre0 forward { policy drop ; }"]),
            &["the chain forward of the table ip gaufre0 is not as"],
        );
        found_and_mended(
            &machine,
            run(&[
                "flush map ip gaufre0 publish_any",
                "add element ip gaufre0 publish_any { tcp . 99 : 10.207.0.9 . 98 }",
            ]),
            &[
                "port 5353/udp of the host does not lead to 10.207.0.2:53",
                "port 8080/tcp of the host does not lead to 10.207.0.2:80",
                "port 99/tcp of the host leads to 10.207.0.9:98, which no container asked for",
            ],
        );
        found_and_mended(
            &machine,
            run(&["flush map ip gaufre0 publish_on"]),
            &["port 127.0.0.1:8081/tcp of the host does not lead to 10.207.0.2:80"],
        );
        machine.net.detach("web").unwrap();
        assert_eq!(machine.net.check().unwrap(), [""; 0]);
    }

    #[test]
    fn a_bridge_or_a_setting_that_somebody_changed_is_reported_and_mended() {
        let machine = Machine::new();
        let netns = new_netns();
        let veth = attach(&machine, "web", &netns, "8080:80").attachment.veth;
        serve_tcp(&netns, 80);
        let set =
            |setting: &'static str| move || fs::write(format!("/proc/sys/net/ipv4/{setting}"), "0").unwrap();
        let link = |command: &'static str| move || drop(ip(command));
        found_and_mended(&machine, set("ip_forward"), &["net.ipv4.ip_forward is off"]);
        found_and_mended(&machine, set("conf/gaufre0/route_localnet"), &["gaufre0.route_localnet is off"]);
        let allow = set("../ipv6/conf/gaufre0/disable_ipv6");
        found_and_mended(&machine, allow, &["gaufre0.disable_ipv6 is off"]);
        found_and_mended(&machine, link("link del gaufre0"), &["the bridge gaufre0 is missing"]);
        found_and_mended(&machine, link("link set gaufre0 down"), &["the bridge gaufre0 is switched off"]);
        found_and_mended(
            &machine,
            link("addr flush dev gaufre0"),
            &["gaufre0 has lost its address 10.207.0.1"],
        );
        let off = format!("the interface {veth} of container web is switched off");
        found_and_mended(&machine, || drop(ip(&format!("link set {veth} down"))), &[&off]);
        let apart = format!("the interface {veth} of container web is not on the bridge");
        found_and_mended(&machine, || drop(ip(&format!("link set {veth} nomaster"))), &[&apart]);
        assert!(ask_tcp(HOST, 8080).is_some());
        // What cannot be mended is named again.
        ip("link add stranger type veth peer name stranger1");
        ip("link set stranger master gaufre0");
        ip(&format!("link del {veth}"));
        machine.net.reconcile().unwrap();
        let found = machine.net.check().unwrap().join("\n");
        assert!(found.contains(&format!("{veth} of container web is missing")), "{found}");
        assert!(found.contains("the interface stranger on the bridge gaufre0 is not gaufre's"), "{found}");
        machine.net.detach("web").unwrap();
    }

    #[test]
    fn a_bridge_whose_run_directory_was_lost_is_taken_again_or_removed() {
        let machine = Machine::new();
        let other_run = tempfile::tempdir().unwrap();
        let other = Net::open(other_run.path()).unwrap();
        let demo = new_netns();
        crate::judge::try_attach(&other, "demo", &demo, "").unwrap();
        let netns = new_netns();
        attach(&machine, "web", &netns, "8080:80");
        assert!(ip("-o link").contains("gaufre1"));
        other.detach("demo").unwrap();
        let lose = || {
            fs::remove_dir_all(machine.run.path().join("net")).unwrap();
            Net::open(machine.run.path()).unwrap()
        };
        let net = lose();
        let found = net.check().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("the bridge gaufre1 is left over") && found[0].contains("1 containers"),
            "{found:?}"
        );
        // A container still hangs on it: its bridge is the one that is used again.
        let again = new_netns();
        crate::judge::try_attach(&net, "again", &again, "8080:80").unwrap();
        assert!(ip("-o link").contains("gaufre1") && !ip("-o link").contains("gaufre0"));
        net.detach("again").unwrap();
        assert!(!ip("-o link").contains("gaufre"), "{}", ip("-o link"));
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "0\n");
        // Nothing hangs on it any more: it goes.
        let third = new_netns();
        let veth = crate::judge::try_attach(&net, "third", &third, "8080:80").unwrap().attachment.veth;
        ip(&format!("link del {veth}"));
        let net = lose();
        assert_eq!(net.check().unwrap().len(), 1);
        net.reconcile().unwrap();
        assert_eq!(net.check().unwrap(), [""; 0]);
        assert_eq!(nft("list ruleset"), "");
        assert!(!ip("-o link").contains("gaufre"), "{}", ip("-o link"));
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), "0\n");
    }
}
