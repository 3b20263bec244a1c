//! What a process of the container that may trace all others sees of one that is being executed in it.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::bundle::{Bundle, eventually};
use crate::probe::probing;
use crate::users::add_namespace;

/// Runs inside a container: until /tmp/stop is there, looks at every process that is still the runtime's, and prints what
/// it holds that a process of the container has no business with.
#[test]
#[ignore = "runs inside a container"]
fn looks_at_what_is_executed() {
    let own = std::process::id().to_string();
    let mut seen = 0;
    fs::write("/tmp/ready", "").unwrap();
    while !Path::new("/tmp/stop").exists() {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if !name.bytes().all(|byte| byte.is_ascii_digit()) || name == own {
                continue;
            }
            let Ok(exe) = fs::read_link(entry.path().join("exe")) else { continue };
            // Where the container's own programs are.
            if exe.starts_with("/bin") {
                continue;
            }
            seen += 1;
            let fds = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
            let held: Vec<_> = fds.filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            // It may be the workload by now.
            let still = fs::read_link(entry.path().join("exe")).is_ok_and(|now| now == exe);
            if !still {
                continue;
            }
            for target in held {
                let text = target.to_string_lossy().into_owned();
                let harmless = ["pipe:", "socket:", "/dev/null", "/dev/pts/"]
                    .iter()
                    .any(|start| text.starts_with(start));
                if !harmless && !text.ends_with("/log") {
                    println!("HOLDS <{text}>");
                }
            }
            let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t"));
            if effective.is_some_and(|set| u64::from_str_radix(set, 16).unwrap() & !(1 << 19) != 0) {
                println!("MAY <{}>", effective.unwrap());
            }
        }
    }
    println!("LOOKED <{seen}>");
}

/// A container with CAP_SYS_PTRACE that runs the watcher.
fn watcher() -> Bundle {
    let bundle = probing("watched::looks_at_what_is_executed");
    let set = json!(["CAP_SYS_PTRACE"]);
    let sets = json!({"bounding": set, "permitted": set, "effective": set});
    bundle.with("/process/capabilities", sets).with("/linux/seccomp", serde_json::Value::Null)
}

/// CVE-2016-9962, for a container with CAP_SYS_PTRACE, from which not even a process that is not dumpable is hidden.
#[test]
fn an_executed_process_holds_nothing_of_the_host_when_it_appears() {
    let bundle = watcher();
    bundle.start();
    nothing_is_held(&bundle, &bundle);
}

/// The watcher is in another container, with which this one only shares the PID namespace.
#[test]
fn nor_does_one_that_is_executed_where_the_pid_namespace_is_not_the_container_s_own() {
    let first = Bundle::sh("sleep 600");
    first.start();
    let joining = |mut bundle: Bundle| {
        let pid = json!({"type": "pid", "path": format!("/proc/{}/ns/pid", first.pid())});
        add_namespace(&mut bundle, pid);
        bundle.start();
        bundle
    };
    // Without capabilities, so that those of the runtime are noticed.
    let second = joining(Bundle::sh("sleep 600").with("/process/capabilities", json!({})));
    nothing_is_held(&joining(watcher()), &second);
}

fn nothing_is_held(watcher: &Bundle, executing: &Bundle) {
    let tmp = watcher.rootfs().join("tmp");
    eventually("the watcher", || tmp.join("ready").exists());
    for _ in 0..100 {
        assert_eq!(executing.must(&["exec", &executing.id, "true"]), "");
    }
    fs::write(tmp.join("stop"), "").unwrap();
    let log = watcher.dir.path().join("log");
    eventually("the report", || fs::read_to_string(&log).unwrap().contains("LOOKED"));
    let report = fs::read_to_string(log).unwrap();
    assert!(!report.contains("LOOKED <0>"), "nothing was seen: {report}");
    assert!(!report.contains("HOLDS") && !report.contains("MAY"), "{report}");
}
