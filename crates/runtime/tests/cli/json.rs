//! JSON in runc's shape: every field that runc 1.1 prints is there, with a value of the same type.

use serde_json::{Value, json};

use crate::bundle::{Bundle, eventually};

/// What differs in shape from runc's `sample`: fields that are missing or of another type.
fn differences(sample: &Value, ours: &Value, path: &str, found: &mut Vec<String>) {
    match (sample, ours) {
        (Value::Object(sample), Value::Object(ours)) => {
            for (key, value) in sample {
                let path = format!("{path}.{key}");
                match ours.get(key) {
                    Some(ours) => differences(value, ours, &path, found),
                    None => found.push(format!("{path} is missing")),
                }
            }
        }
        (Value::Array(sample), Value::Array(ours)) => {
            if let (Some(sample), Some(ours)) = (sample.first(), ours.first()) {
                differences(sample, ours, &format!("{path}[]"), found);
            }
        }
        (Value::Number(_), Value::Number(_))
        | (Value::String(_), Value::String(_))
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, Value::Null) => {}
        _ => found.push(format!("{path} is {ours}, not as {sample}")),
    }
}

fn assert_shape(sample: &Value, ours: &Value) {
    let mut found = Vec::new();
    differences(sample, ours, "", &mut found);
    assert_eq!(found, [""; 0], "{ours}");
}

fn state_of_runc() -> Value {
    json!({
        "ociVersion": "1.0.2-dev", "id": "x", "pid": 32278, "status": "running", "bundle": "/tmp/b",
        "rootfs": "/tmp/b/rootfs", "created": "2026-11-21T11:33:01.6871631Z", "annotations": {"a": "b"}, "owner": ""
    })
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn state_has_runc_s_shape() {
    let bundle = Bundle::sh("sleep 60").with("/annotations", json!({"a": "b"}));
    bundle.start();
    let state = parse(&bundle.must(&["state", &bundle.id]));
    assert_shape(&state_of_runc(), &state);
    assert_eq!(state["annotations"], json!({"a": "b"}));
    assert_eq!(state["rootfs"], json!(bundle.rootfs()));
    assert!(state["created"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn list_has_runc_s_shape() {
    let bundle = Bundle::sh("sleep 60").with("/annotations", json!({"a": "b"}));
    assert_eq!(parse(&bundle.must(&["list", "--format", "json"])), json!([]));
    bundle.start();
    let list = parse(&bundle.must(&["list", "-f", "json"]));
    assert_shape(&json!([state_of_runc()]), &list);
    assert_eq!((&list[0]["owner"], &list[0]["status"]), (&json!("root"), &json!("running")));
}

#[test]
fn events_have_runc_s_shape() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let sample = json!({
        "type": "stats", "id": "x", "data": {
            "cpu": {"usage": {"kernel": 0, "user": 0}, "throttling": {}},
            "cpuset": {
                "cpu_exclusive": 0, "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0,
                "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0, "sched_load_balance": 1,
                "sched_relax_domain_level": -1
            },
            "memory": {
                "usage": {"limit": 1, "failcnt": 0}, "swap": {"limit": 1, "failcnt": 0},
                "kernel": {"limit": 1, "failcnt": 0}, "kernelTCP": {"limit": 1, "failcnt": 0}
            },
            "pids": {}, "blkio": {}, "hugetlb": {}, "intel_rdt": {}, "network_interfaces": null
        }
    });
    let text = bundle.must(&["events", "--stats", &bundle.id]);
    assert_eq!(text.lines().count(), 1, "one event is one line");
    assert_shape(&sample, &parse(&text));
}

/// The kernel says so: with such an interval nobody asks.
#[test]
fn events_tell_at_once_of_memory_that_ran_out_also_when_the_container_ends_of_it() {
    for (script, ends) in [("sh -c 'exec tail /dev/zero'; sleep 600", false), ("exec tail /dev/zero", true)] {
        let bundle = Bundle::sh(&format!("until [ -e /go ]; do sleep 0.01; done; {script}"))
            .with("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
        bundle.start();
        let mut command = bundle.oci(&["events", "--interval", "1h", &bundle.id]);
        let printed = bundle.dir.path().join("events");
        let mut events = command.stdout(std::fs::File::create(&printed).unwrap()).spawn().unwrap();
        // It watches when it waits.
        let waits = format!("/proc/{}/syscall", events.id());
        let polls = [libc::SYS_poll, libc::SYS_ppoll].map(|number| format!("{number} "));
        eventually("the watch", || {
            std::fs::read_to_string(&waits).is_ok_and(|call| polls.iter().any(|poll| call.starts_with(poll)))
        });
        std::fs::write(bundle.rootfs().join("go"), "").unwrap();
        let first = || std::fs::read_to_string(&printed).unwrap().lines().next().map(parse);
        let told = (0..2000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            first()
        });
        if !ends || told.is_none() {
            // It ends with the container.
            bundle.must(&["delete", "--force", &bundle.id]);
        }
        assert!(events.wait().unwrap().success());
        let told = told.expect("there was no event within ten seconds");
        assert_eq!((&told["type"], &told["id"]), (&json!("oom"), &json!(bundle.id)));
    }
}

#[test]
fn events_go_on_until_the_container_ends() {
    let bundle = Bundle::sh("sleep 1");
    bundle.start();
    let text = bundle.must(&["events", "--interval", "100ms", &bundle.id]);
    assert!(text.lines().count() >= 2, "{text}");
    assert!(text.lines().all(|line| parse(line)["type"] == "stats"));
}

#[test]
fn features_are_those_of_the_specification() {
    let features = parse(&Bundle::sh("").must(&["features"]));
    let sample = json!({
        "ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "hooks": [""], "mountOptions": [""],
        "linux": {
            "namespaces": [""], "capabilities": [""],
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": {
                "enabled": true, "actions": [""], "operators": [""], "archs": [""], "knownFlags": [""],
                "supportedFlags": [""]
            },
            "apparmor": {"enabled": true}, "selinux": {"enabled": true}, "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": true}}, "netDevices": {"enabled": false}
        }
    });
    assert_shape(&sample, &features);
    let names = |pointer: &str| features.pointer(pointer).unwrap().as_array().unwrap().len();
    assert_eq!((names("/hooks"), names("/linux/namespaces"), names("/linux/capabilities")), (6, 8, 41));
}

#[test]
fn spec_writes_a_configuration_that_runs_and_overwrites_none() {
    let bundle = Bundle::sh("");
    let dir = bundle.dir.path().join("new");
    std::fs::create_dir(&dir).unwrap();
    bundle.must(&["spec", "--bundle", dir.to_str().unwrap()]);
    let spec = parse(&std::fs::read_to_string(dir.join("config.json")).unwrap());
    assert_eq!((&spec["root"]["path"], &spec["process"]["args"]), (&json!("rootfs"), &json!(["sh"])));
    assert_eq!(bundle.try_verb(&["spec", "--bundle", dir.to_str().unwrap()]).code, 1);

    std::fs::remove_file(dir.join("config.json")).unwrap();
    bundle.must(&["spec", "--rootless", "-b", dir.to_str().unwrap()]);
    let spec = parse(&std::fs::read_to_string(dir.join("config.json")).unwrap());
    assert_eq!(spec["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert!(spec["linux"].get("resources").is_none_or(Value::is_null));
}
