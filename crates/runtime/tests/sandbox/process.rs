//! Scheduling, memory policy, labels, and what an executed process adds to them.

use std::fs;

use serde_json::json;

use crate::bundle::Bundle;

/// Field `number` of /proc/PID/stat, counted from 1 as in proc_pid_stat(5).
fn stat_field(pid: i64, number: usize) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    fields[number - 3].to_owned()
}

#[test]
fn the_scheduler_is_the_asked_one() {
    // SCHED_IDLE has no nice value to set: ours stays.
    let own_nice = stat_field(std::process::id().into(), 19);
    // Policy, real-time priority, nice.
    for (wish, policy, priority, nice) in [
        (json!({"policy": "SCHED_BATCH", "nice": 7}), "3", "0", "7"),
        (json!({"policy": "SCHED_IDLE"}), "5", "0", own_nice.as_str()),
        (json!({"policy": "SCHED_BATCH", "nice": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}), "3", "0", "7"),
    ] {
        let bundle = Bundle::sh("sleep 60").with("/process/scheduler", wish);
        bundle.start();
        let pid = bundle.pid();
        let found = [41, 40, 19].map(|field| stat_field(pid, field));
        assert_eq!(found, [policy, priority, nice]);
    }
}

/// Real-time policies take privileges, and time from the cgroup, that not every host gives.
#[test]
fn a_real_time_policy_is_set_or_refused_by_name() {
    let wish = json!({"policy": "SCHED_RR", "priority": 3});
    let bundle = Bundle::sh("cut -d ' ' -f 40,41 /proc/self/stat").with("/process/scheduler", wish);
    let outcome = bundle.run();
    if outcome.code == 0 {
        assert_eq!(outcome.stdout, "3 2\n");
    } else {
        assert!(outcome.stderr.contains("process.scheduler"), "{outcome:?}");
    }
}

#[test]
fn a_scheduler_that_the_kernel_refuses_is_an_error_that_names_it() {
    let wish =
        json!({"policy": "SCHED_DEADLINE", "runtime": 5_000_000, "deadline": 1_000_000, "period": 9_000_000});
    let error = Bundle::sh("true").with("/process/scheduler", wish).failure();
    assert!(error.contains("process.scheduler"), "{error}");
}

#[test]
fn an_executed_process_starts_and_goes_on_on_its_own_cpus() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let own = rustix::thread::sched_getaffinity(None).unwrap();
    let first = (0..1024).find(|cpu| own.is_set(*cpu)).unwrap();
    let script = "grep Cpus_allowed_list /proc/self/status";
    for affinity in [json!({"initial": first.to_string()}), json!({"final": first.to_string()})] {
        let mut process = bundle.spec["process"].clone();
        process["args"] = json!(["sh", "-c", script]);
        process["execCPUAffinity"] = affinity;
        let file = bundle.dir.path().join("process.json");
        fs::write(&file, process.to_string()).unwrap();
        let out = bundle.must(&["exec", "--process", file.to_str().unwrap(), &bundle.id]);
        assert_eq!(out.split_whitespace().last(), Some(first.to_string().as_str()), "{out}");
    }
    // The first process never: config.md.
    let bundle = Bundle::sh(script).with("/process/execCPUAffinity", json!({"final": first.to_string()}));
    let host = fs::read_to_string("/proc/self/status").unwrap();
    let host = host.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap();
    assert_eq!(bundle.stdout().trim(), host);
}

#[test]
fn the_memory_policy_is_inherited_by_the_workload() {
    let bundle = Bundle::sh("head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2");
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let out = bundle.with("/linux/memoryPolicy", policy.clone()).stdout();
    assert_eq!(out.trim(), "bind=static:0");
    let bundle = Bundle::sh("sleep 60").with("/linux/memoryPolicy", policy);
    bundle.start();
    assert_eq!(
        bundle.exec("head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2").stdout.trim(),
        "bind=static:0"
    );
    let policy = json!({"mode": "MPOL_BIND", "nodes": "1023"});
    let error = Bundle::sh("true").with("/linux/memoryPolicy", policy).failure();
    assert!(error.contains("linux.memoryPolicy"), "{error}");
}

#[test]
fn the_personality_shows_another_machine() {
    let bundle =
        Bundle::sh("cat /proc/self/personality").with("/linux/personality", json!({"domain": "LINUX32"}));
    assert_eq!(bundle.stdout(), "00000008\n");
}

/// Where a module is on, the workload's own label says that it was honoured; where it is off, an error or a warning
/// names the field.
#[test]
fn a_label_is_honoured_or_refused_or_left_out_by_name() {
    let selinux = std::path::Path::new("/sys/fs/selinux/status").exists();
    let apparmor =
        fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with('Y'));
    if !apparmor {
        let outcome = Bundle::sh("true").with("/process/apparmorProfile", json!("x")).run();
        let warned = outcome.stderr.contains("process.apparmorProfile is left out");
        assert!(warned && outcome.code == 0, "{outcome:?}");
        let outcome = Bundle::sh("true").with("/process/apparmorProfile", json!("unconfined")).run();
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    } else {
        let bundle = Bundle::sh("cat /proc/self/attr/apparmor/current")
            .with("/process/apparmorProfile", json!("unconfined"));
        assert_eq!(bundle.stdout(), "unconfined\n");
    }
    if selinux {
        let label = fs::read_to_string("/proc/self/attr/current").unwrap();
        let label = label.trim_end_matches('\0');
        let bundle = Bundle::sh("cat /proc/self/attr/current").with("/process/selinuxLabel", json!(label));
        assert_eq!(bundle.stdout().trim_end_matches(['\0', '\n']), label);
    } else {
        let label = json!("system_u:system_r:container_t:s0:c1,c2");
        let error = Bundle::sh("true").with("/process/selinuxLabel", label.clone()).failure();
        assert!(
            error.contains("process.selinuxLabel") && error.contains("SELinux is not enabled"),
            "{error}"
        );
        let outcome = Bundle::sh("true").with("/linux/mountLabel", label).run();
        let warned = outcome.stderr.contains("linux.mountLabel is left out");
        assert!(warned && outcome.code == 0, "{outcome:?}");
    }
}
