//! Namespaces, names, users, capabilities, limits of the process.

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn every_namespace_but_the_user_s_is_new() {
    let out = Bundle::sh(
        "for n in pid mnt uts ipc net cgroup user; do readlink /proc/1/ns/$n; done; cat /proc/1/cgroup",
    )
    .stdout();
    let mut lines = out.lines();
    for name in ["pid", "mnt", "uts", "ipc", "net", "cgroup"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(lines.next().unwrap(), host.to_string_lossy(), "{name}");
    }
    assert_eq!(lines.next().unwrap(), std::fs::read_link("/proc/self/ns/user").unwrap().to_string_lossy());
    assert!(lines.all(|line| line.ends_with(":/")), "{out}");
}

#[test]
fn a_namespace_without_new_is_the_host_s_and_a_path_is_joined() {
    let first = Bundle::sh("sleep 60");
    first.start();
    let path = |name: &str| format!("/proc/{}/ns/{name}", first.pid());
    let ns = json!([
        {"type": "mount"},
        {"type": "pid", "path": path("pid")},
        {"type": "ipc", "path": path("ipc")},
        {"type": "uts", "path": path("uts")},
        {"type": "network", "path": path("net")},
    ]);
    let mut second = Bundle::sh(
        "for n in pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done; ps | grep -c 'sleep 6[0]'",
    )
    .with("/linux/namespaces", ns);
    second.spec.as_object_mut().unwrap().remove("hostname");
    let out = second.stdout();
    let mut lines = out.lines();
    for name in ["pid", "ipc", "uts", "net"] {
        assert_eq!(lines.next().unwrap(), std::fs::read_link(path(name)).unwrap().to_string_lossy());
    }
    assert_eq!(lines.next().unwrap(), std::fs::read_link("/proc/self/ns/cgroup").unwrap().to_string_lossy());
    assert_eq!(lines.next().unwrap(), "1");
}

#[test]
fn host_and_domain_names_are_set() {
    let bundle = Bundle::sh("hostname; cat /proc/sys/kernel/domainname")
        .with("/hostname", json!("waffle"))
        .with("/domainname", json!("iron.example"));
    assert_eq!(bundle.stdout(), "waffle\niron.example\n");
}

#[test]
fn user_groups_umask_and_cwd_are_as_asked() {
    let bundle = Bundle::sh("id -u; id -g; id -G; umask; pwd; grep -E 'Cap(Eff|Prm|Amb)' /proc/self/status")
        .with("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 7], "umask": 0o27}))
        .with("/process/cwd", json!("/made/on/demand"));
    let out = bundle.stdout();
    let none = "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    assert_eq!(out, format!("1000\n1001\n1001 5 7\n0027\n/made/on/demand\n{none}"));
}

#[test]
fn all_five_capability_sets_are_exact() {
    let sets = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "permitted": ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_NET_BIND_SERVICE"],
        "ambient": ["CAP_NET_BIND_SERVICE"],
    });
    for no_new_privileges in [true, false] {
        let bundle = Bundle::sh("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status")
            .with("/process/capabilities", sets.clone())
            .with("/process/noNewPrivileges", json!(no_new_privileges))
            .with("/process/user", json!({"uid": 1000, "gid": 1000}));
        let out = bundle.stdout();
        // Executing as another user than root leaves the ambient set: capabilities(7).
        let expected = [
            "CapInh:\t0000000000000400",
            "CapPrm:\t0000000000000400",
            "CapEff:\t0000000000000400",
            "CapBnd:\t0000000000000421",
            "CapAmb:\t0000000000000400",
            "Seccomp:\t2",
        ];
        for line in expected {
            assert!(out.contains(line), "{line} not in\n{out}");
        }
        assert!(out.contains(&format!("NoNewPrivs:\t{}", u8::from(no_new_privileges))), "{out}");
    }
}

#[test]
fn rlimits_are_set_and_an_impossible_one_is_a_clear_error() {
    let limit = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]);
    let bundle = Bundle::sh("ulimit -n; ulimit -Hn; ulimit -c").with("/process/rlimits", limit);
    assert_eq!(bundle.stdout(), "100\n200\n0\n");
    // Above fs.nr_open not even CAP_SYS_RESOURCE helps.
    let wish = json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1u64 << 40}]);
    let error = Bundle::sh("true").with("/process/rlimits", wish).failure();
    assert!(error.contains("RLIMIT_NOFILE") && error.contains("1099511627776"), "{error}");
}

#[test]
fn sysctls_of_own_namespaces_are_set_and_the_host_s_are_refused() {
    let bundle = Bundle::sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni")
        .with("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel.shmmni": "77"}));
    assert_eq!(bundle.stdout(), "1\n77\n");
    let error = Bundle::sh("true").with("/linux/sysctl", json!({"kernel.panic": "1"})).failure();
    assert!(error.contains("kernel.panic"), "{error}");
}

#[test]
fn what_would_be_the_host_s_is_refused_where_its_namespace_is_named_by_path() {
    let by_path = |kind: &str, file: &str| {
        let mut bundle = Bundle::sh("true");
        let namespaces = bundle.spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != kind);
        namespaces.push(json!({"type": kind, "path": format!("/proc/self/ns/{file}")}));
        bundle.spec.as_object_mut().unwrap().remove("hostname");
        bundle
    };
    // What is there already, lest a failure of this test change the host.
    let current = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
    let somaxconn = current("/proc/sys/net/core/somaxconn");
    let error =
        by_path("network", "net").with("/linux/sysctl", json!({"net.core.somaxconn": somaxconn})).failure();
    assert!(error.contains("net.core.somaxconn"), "{error}");
    let name = current("/proc/sys/kernel/hostname");
    let error = by_path("uts", "uts").with("/hostname", json!(name)).failure();
    assert!(error.contains("hostname needs a uts namespace"), "{error}");
    let own = std::fs::read_link("/proc/self/ns/uts").unwrap();
    let mut bundle = by_path("uts", "uts");
    bundle.spec["process"]["args"] = json!(["readlink", "/proc/self/ns/uts"]);
    assert_eq!(bundle.stdout().trim(), own.to_str().unwrap());
}

#[test]
fn a_sysctl_whose_name_leads_elsewhere_is_refused() {
    let before = std::fs::read_to_string("/proc/sys/kernel/panic").unwrap();
    for name in [
        "net/../kernel/panic",
        "net/./ipv4/ip_forward",
        "net//ipv4/ip_forward",
        "net..ipv4.ip_forward",
        "net.",
    ] {
        let error = Bundle::sh("true").with("/linux/sysctl", json!({name: before.trim()})).failure();
        assert!(error.contains(name) && error.contains("not the name"), "{error}");
    }
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/panic").unwrap(), before);
}

#[test]
fn the_oom_score_is_adjusted() {
    let bundle = Bundle::sh("cat /proc/self/oom_score_adj").with("/process/oomScoreAdj", json!(321));
    assert_eq!(bundle.stdout(), "321\n");
}

#[test]
fn the_environment_is_exactly_the_asked_one() {
    let bundle = Bundle::sh("")
        .with("/process/args", json!(["env"]))
        .with("/process/env", json!(["PATH=/bin", "A=b c"]));
    assert_eq!(bundle.stdout(), "PATH=/bin\nA=b c\n");
}

#[test]
fn a_small_limit_on_descriptors_is_the_workload_s_alone() {
    for limit in [8, 16] {
        let limits = json!([{"type": "RLIMIT_NOFILE", "soft": limit, "hard": limit}]);
        let bundle = Bundle::sh("ulimit -n; ulimit -Hn").with("/process/rlimits", limits);
        assert_eq!(bundle.stdout(), format!("{limit}\n{limit}\n"));
        let bundle = bundle.with("/process/args", json!(["sleep", "60"]));
        bundle.start();
        assert_eq!(bundle.exec("ulimit -n").stdout, format!("{limit}\n"));
    }
}
