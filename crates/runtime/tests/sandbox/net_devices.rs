//! Network devices of the host in a container. The host is a network namespace of the test's own.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::bundle::{Bundle, Outcome, eventually};

/// A network namespace that stands for the host's, kept by a process that sleeps in it.
struct Net(Child);

impl Net {
    fn new() -> Self {
        let child = Command::new("unshare").args(["-n", "sleep", "600"]).stdin(Stdio::null()).spawn();
        let net = Self(child.expect("unshare(1) is needed"));
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        eventually("the namespace", || std::fs::read_link(net.path()).is_ok_and(|other| other != own));
        net
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program).stdin(Stdio::null());
        command
    }

    /// ip(8), words separated by blanks.
    fn try_ip(&self, words: &str) -> Outcome {
        let output = self.command("ip").args(words.split(' ')).output();
        Outcome::of(&output.expect("ip(8) is needed (package iproute2)"))
    }

    fn ip(&self, words: &str) -> String {
        let outcome = self.try_ip(words);
        assert_eq!(outcome.code, 0, "ip {words}: {}", outcome.stderr);
        outcome.stdout
    }

    /// A device that is up and has addresses of two families and two scopes.
    fn device(&self, name: &str, last_byte: u8) {
        self.ip(&format!("link add {name} type veth peer name peer-{name}"));
        self.ip(&format!("link set peer-{name} up"));
        self.ip(&format!("link set {name} up mtu 1400"));
        self.ip(&format!("addr add 10.9.8.{last_byte}/24 brd 10.9.8.255 dev {name}"));
        self.ip(&format!("addr add fd00::{last_byte}/64 dev {name} nodad"));
        self.ip(&format!("addr add 169.254.1.{last_byte}/16 scope link dev {name}"));
    }

    fn run(&self, bundle: &Bundle, verb: &str) -> Outcome {
        let oci = bundle.oci(&[verb, &bundle.id]);
        let mut command = self.command(oci.get_program().to_str().unwrap());
        command.args(oci.get_args()).current_dir(bundle.dir.path());
        Outcome::of(&command.output().unwrap())
    }

    /// The bundle's run must fail and leave the device as [`Net::device`] made it.
    fn refuses(&self, bundle: &Bundle, words: &str) {
        let before = self.ip("addr show dev0");
        let outcome = self.run(bundle, "create");
        assert!(outcome.code != 0 && outcome.stderr.contains(words), "{outcome:?}");
        assert!(!bundle.state_dir().exists() && bundle.cgroups().is_empty());
        // What the kernel does by itself, such as addresses of its own, takes a moment.
        let same = || addresses(&self.ip("addr show dev0")) == addresses(&before);
        eventually("the device is as before", same);
        let now = self.ip("link show dev0");
        assert!(now.contains("mtu 1400") && now.contains(",UP"), "{now}");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn addresses(shown: &str) -> Vec<&str> {
    let mut found: Vec<&str> = shown.lines().map(str::trim).filter(|line| line.starts_with("inet")).collect();
    found.sort_unstable();
    found
}

fn with_devices(script: &str, devices: Value) -> Bundle {
    Bundle::sh(script).with("/linux/netDevices", devices)
}

#[test]
fn a_network_device_becomes_the_container_s_with_its_addresses_and_is_up() {
    let net = Net::new();
    net.device("dev0", 7);
    let devices = json!({"dev0": {"name": "in0"}});
    let bundle =
        with_devices("busybox ip addr show in0; cat /proc/sys/net/ipv4/conf/in0/arp_announce", devices)
            // Known by the time that the settings are made.
            .with("/linux/sysctl", json!({"net/ipv4/conf/in0/arp_announce": "2"}));
    let outcome = net.run(&bundle, "run");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    for words in ["10.9.8.7/24 brd 10.9.8.255", "fd00::7/64", "mtu 1400", ",UP"] {
        assert!(outcome.stdout.contains(words), "no {words} in {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("169.254"), "{}", outcome.stdout);
    assert!(outcome.stdout.ends_with("\n2\n"), "{}", outcome.stdout);
    assert_ne!(net.try_ip("link show dev0").code, 0, "it is still here");
}

#[test]
fn a_name_may_be_left_to_the_kernel() {
    let net = Net::new();
    net.device("dev0", 7);
    net.device("dev1", 8);
    let devices = json!({"dev0": {"name": "eth%d"}, "dev1": {"name": "eth%d"}});
    let script = "busybox ip -o addr show eth0; busybox ip -o addr show eth1";
    let outcome = net.run(&with_devices(script, devices), "run");
    assert!(outcome.stdout.contains("10.9.8.7/24") && outcome.stdout.contains("10.9.8.8/24"), "{outcome:?}");
}

#[test]
fn a_device_goes_into_a_namespace_that_is_joined_where_its_name_is_in_use_too() {
    let (net, pod) = (Net::new(), Net::new());
    net.device("dev0", 7);
    pod.device("dev0", 9);
    let namespaces = |bundle: Bundle| {
        let mut list = bundle.spec["linux"]["namespaces"].clone();
        let list = list.as_array_mut().unwrap();
        list.retain(|namespace| namespace["type"] != "network");
        list.push(json!({"type": "network", "path": pod.path()}));
        let list = json!(list);
        bundle.with("/linux/namespaces", list)
    };
    net.refuses(
        &namespaces(with_devices("true", json!({"dev0": {}}))),
        "network device dev0 in the container already",
    );
    net.refuses(
        &namespaces(with_devices("true", json!({"dev0": {"name": "peer-dev0"}}))),
        "network device peer-dev0 in the container already",
    );
    // Moved and given back, over the other's name.
    let fails = namespaces(with_devices("true", json!({"dev0": {"name": "in0"}})));
    net.refuses(&fails.with("/process/args", json!(["nosuch"])), "nosuch");
    let works = namespaces(with_devices("busybox ip -o addr", json!({"dev0": {"name": "in0"}})));
    let outcome = net.run(&works, "run");
    assert!(outcome.stdout.contains("10.9.8.7/24") && outcome.stdout.contains("10.9.8.9/24"), "{outcome:?}");
    // It is the namespace's now.
    assert!(pod.ip("addr show in0").contains("10.9.8.7/24"));
}

#[test]
fn a_device_can_be_moved_into_a_user_namespace_s_network() {
    let net = Net::new();
    net.device("dev0", 7);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let mut bundle = with_devices("busybox ip -o addr show dev0", json!({"dev0": {}}))
        .with("/linux/uidMappings", map.clone())
        .with("/linux/gidMappings", map);
    bundle.spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    std::fs::set_permissions(bundle.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let outcome = net.run(&bundle, "run");
    assert!(outcome.stdout.contains("10.9.8.7/24"), "{outcome:?}");
}

#[test]
fn a_device_is_given_back_when_the_container_cannot_be_made() {
    let net = Net::new();
    net.device("dev0", 7);
    net.device("dev1", 8);
    net.refuses(
        &with_devices("true", json!({"dev0": {"name": "lo"}})),
        "network device lo in the container already",
    );
    net.refuses(
        &with_devices("true", json!({"dev0": {}, "lo": {"name": "other"}})),
        "could not move the network device lo",
    );
    net.refuses(&with_devices("true", json!({"dev0": {}, "nosuch": {}})), "no network device nosuch");
    let twice = json!({"dev0": {"name": "same"}, "dev1": {"name": "same"}});
    net.refuses(&with_devices("true", twice), "network device same in the container already");
    let late = with_devices("true", json!({"dev0": {"name": "in0"}}));
    net.refuses(&late.with("/process/args", json!(["nosuch"])), "nosuch");
    let shared = with_devices("true", json!({"dev0": {}}));
    let mut list = shared.spec["linux"]["namespaces"].clone();
    list.as_array_mut().unwrap().retain(|namespace| namespace["type"] != "network");
    let shared = shared.with("/linux/namespaces", list);
    net.refuses(&shared, "linux.netDevices needs a network namespace");
}
