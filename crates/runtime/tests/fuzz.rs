//! Mutations of real configurations and state files: whatever the text is, it is understood or refused, without a
//! panic and without more memory than its length explains. `$GAUFRE_FUZZ_CASES` says how many (2,000 of each without).
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use gaufre_runtime::spec::{default_spec, parse, validate};
use gaufre_runtime::state::StateDir;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use serde_json::{Value, json};

/// Counts what is in use and the most that ever was.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; only numbers are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of alloc.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of dealloc.
        unsafe { System.dealloc(place, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time, so that the memory counted is that of one text.
static ALONE: Mutex<()> = Mutex::new(());

/// A change to a document.
#[derive(Clone, Debug)]
enum Change {
    /// The value at the place, counted through the document, becomes another.
    Replace(usize, Value),
    /// The value goes away.
    Remove(usize),
    /// The element of a list is there many times.
    Repeat(usize, u16),
    /// The byte of the text becomes another.
    Byte(usize, u8),
    /// The text ends there.
    Cut(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (any::<usize>(), value()).prop_map(|(at, value)| Change::Replace(at, value)),
        2 => any::<usize>().prop_map(Change::Remove),
        1 => (any::<usize>(), 1..2000_u16).prop_map(|(at, count)| Change::Repeat(at, count)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => any::<usize>().prop_map(Change::Cut),
    ]
}

/// Values that have hurt parsers before, and any others.
fn value() -> impl Strategy<Value = Value> {
    let known = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e308),
        json!(-0.0),
        json!(""),
        json!("/"),
        json!(".."),
        json!("../../etc"),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!("max"),
        json!("0-4294967295"),
        json!("SCMP_ACT_NOTIFY"),
        json!("SCMP_ACT_ERRNO"),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"": ""}),
        json!("CAP_SYS_ADMIN"),
        json!("18446744073709551616"),
        json!([0, 0, 0]),
        json!("x".repeat(70_000)),
        json!({"index": 5, "value": u64::MAX, "op": "SCMP_CMP_LE"}),
        json!({"type": "c", "allow": true, "major": -7, "minor": u64::MAX, "access": "rwmx"}),
    ];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ]
}

/// The document's text after the changes.
fn changed(mut document: Value, changes: &[Change]) -> Vec<u8> {
    let places = |document: &Value| count(document).max(1);
    for change in changes {
        let all = places(&document);
        match change {
            Change::Replace(at, value) => {
                visit(&mut document, &mut (at % all), &mut |place| *place = value.clone());
            }
            Change::Remove(at) => visit(&mut document, &mut (at % all), &mut |place| *place = Value::Null),
            Change::Repeat(at, count) => visit(&mut document, &mut (at % all), &mut |place| {
                if let Some(list) = place.as_array_mut()
                    && let Some(last) = list.last().cloned()
                {
                    list.extend(std::iter::repeat_n(last, (*count).into()));
                }
            }),
            Change::Byte(..) | Change::Cut(_) => {}
        }
    }
    let mut text = document.to_string().into_bytes();
    for change in changes {
        let len = text.len().max(1);
        match change {
            Change::Byte(at, byte) => {
                if let Some(place) = text.get_mut(at % len) {
                    *place = *byte;
                }
            }
            Change::Cut(at) => text.truncate(at % len),
            _ => {}
        }
    }
    text
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Does something to the value that is `left` values on, and not to the document itself.
fn visit(value: &mut Value, left: &mut usize, act: &mut dyn FnMut(&mut Value)) {
    let children: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        if *left == 1 {
            *left = 0;
            act(child);
            return;
        }
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        visit(child, left, act);
        if *left == 0 {
            return;
        }
    }
}

fn runner() -> TestRunner {
    let cases = std::env::var("GAUFRE_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000);
    let failure_persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    TestRunner::new(Config { cases, failure_persistence, max_shrink_iters: 200, ..Config::default() })
}

/// How much memory a text may cost beside its own length: each value takes up to some hundred bytes in the model.
fn bound(text: &[u8]) -> usize {
    (1 << 20) + 300 * text.len()
}

fn within_bounds(text: &[u8], understand: impl FnOnce()) -> Result<(), TestCaseError> {
    let before = IN_USE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    understand();
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    prop_assert!(most <= bound(text), "{most} bytes for a text of {}", text.len());
    Ok(())
}

/// A configuration that has every field: those of the default one, and those that podman and containerd write.
fn configuration() -> Value {
    let mut spec = serde_json::to_value(default_spec()).unwrap();
    spec["annotations"] = json!({"io.podman.annotations.ulimit": "nofile=1:1"});
    spec["hooks"] =
        json!({"createRuntime": [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 3}]});
    spec["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]);
    spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 4});
    spec["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 3});
    spec["process"]["execCPUAffinity"] = json!({"initial": "0-1", "final": "0"});
    spec["process"]["consoleSize"] = json!({"height": 24, "width": 80});
    spec["process"]["user"] = json!({"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3, 4]});
    let ids = json!([{"containerID": 0, "hostID": 1000, "size": 65_536}]);
    spec["linux"]["uidMappings"] = ids.clone();
    spec["linux"]["gidMappings"] = ids.clone();
    let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.extend([json!({"type": "user"}), json!({"type": "time"})]);
    spec["mounts"]
        .as_array_mut()
        .unwrap()
        .push(json!({"destination": "/data", "type": "bind", "source": "data",
        "options": ["rbind", "rro", "idmap", "rslave"], "uidMappings": ids.clone(), "gidMappings": ids}));
    spec["linux"]["netDevices"] = json!({"eth7": {"name": "eth0"}});
    spec["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": []});
    spec["linux"]["rootfsPropagation"] = json!("rslave");
    spec["annotations"][gaufre_runtime::landlock::ANNOTATION] = json!("{}");
    spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    spec["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 5, "nanosecs": 7}});
    spec["linux"]["devices"] = json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]);
    spec["linux"]["resources"] = json!({
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
        "memory": {"limit": 1 << 20, "swap": 1 << 21, "reservation": 1 << 19, "checkBeforeUpdate": true},
        "cpu": {"shares": 1024, "quota": 1000, "period": 10_000, "burst": 10, "cpus": "0", "mems": "0", "idle": 0},
        "pids": {"limit": 100},
        "blockIO": {"weight": 100, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 0}],
        "rdma": {"mlx5_1": {"hcaHandles": 3}},
        "unified": {"memory.high": "1048576"},
    });
    spec
}

fn state() -> Value {
    let process = json!({"pid": 1, "start_ticks": 2});
    let cgroup = gaufre_runtime::cgroup_of("fuzzed", &default_spec(), Default::default()).unwrap();
    json!({
        "id": "fuzzed", "bundle": "/bundle", "rootfs": "/bundle/rootfs", "created": "2026-01-01T00:00:00Z",
        "annotations": {"a": "b"}, "cgroup": cgroup, "maker": process, "process": process,
    })
}

#[test]
fn whatever_is_planned_from_a_configuration_is_checked() {
    let original = configuration();
    for (pointer, value, word) in [
        ("/hooks/createRuntime/0/path", json!("relative"), "hooks.createRuntime"),
        ("/linux/sysctl", json!({"kernel.panic": "1"}), "kernel.panic"),
        ("/linux/netDevices", json!({"a/b": {}}), "linux.netDevices"),
        ("/linux/memoryPolicy/nodes", json!("x"), "linux.memoryPolicy"),
        ("/linux/devices/0/major", json!(-5), "/dev/fuse"),
        ("/linux/rootfsPropagation", json!("sideways"), "sideways"),
        ("/mounts/0/options", json!(["copy-symlink"]), "copy-symlink"),
        ("/linux/gidMappings", json!([]), "Mappings"),
        (
            "/annotations",
            json!({gaufre_runtime::landlock::ANNOTATION: "?"}),
            gaufre_runtime::landlock::ANNOTATION,
        ),
    ] {
        let mut spec = original.clone();
        *spec.pointer_mut(pointer).unwrap() = value;
        let error = validate(&parse(spec.to_string().as_bytes()).unwrap()).unwrap_err().to_string();
        assert!(error.contains(word), "{pointer}: {error}");
    }
}

#[test]
fn a_changed_configuration_is_understood_or_refused_within_bounds() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let original = configuration();
    validate(&parse(original.to_string().as_bytes()).unwrap()).unwrap();
    let (made, understood, honoured) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    runner()
        .run(&prop::collection::vec(change(), 1..4), |changes| {
            let text = changed(original.clone(), &changes);
            made.fetch_add(1, Ordering::Relaxed);
            within_bounds(&text, || {
                if let Ok(spec) = parse(&text) {
                    understood.fetch_add(1, Ordering::Relaxed);
                    honoured.fetch_add(usize::from(validate(&spec).is_ok()), Ordering::Relaxed);
                }
            })
        })
        .unwrap();
    // The fuzzer is worth something only if it gets past the parser, and is refused by it as well. Too few of its
    // changes make a configuration that is understood and cannot be honoured for one to be sure to come.
    let (made, understood) = (made.into_inner(), understood.into_inner());
    assert!(made > understood && honoured.into_inner() > 0, "made {made}, understood {understood}");
}

#[test]
fn a_changed_state_file_is_understood_or_refused_within_bounds() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("fuzzed");
    std::fs::create_dir(&dir).unwrap();
    let path = dir.join("state.json");
    let original = state();
    let load = || StateDir::at(root.path(), "fuzzed").unwrap().load();
    std::fs::write(&path, original.to_string()).unwrap();
    load().unwrap();
    runner()
        .run(&prop::collection::vec(change(), 1..4), |changes| {
            let text = changed(original.clone(), &changes);
            std::fs::write(&path, &text).unwrap();
            within_bounds(&text, || drop(load()))
        })
        .unwrap();
}
