//! Groups that systemd makes: a real systemd is started as the first process of a PID namespace, on a cgroup2 mount of
//! its own, and the runtime asks it from inside. Where that hierarchy has controllers (on a cgroup v2 host, in the test
//! VM) the limits are judged too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::bundle::{Bundle, Outcome, eventually};

/// A service manager, and a cgroup below which all of its units are.
struct Systemd {
    unshare: Child,
    pid: i32,
    group: PathBuf,
    _units: TempDir,
}

/// Becomes systemd in the group, alone there, with the group's hierarchy in the usual place.
const BEGIN: &str = "
    echo $$ > \"$GROUP/cgroup.procs\" || exit 1
    mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run || exit 1
    [ -d /sys/fs/cgroup/unified ] && mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec \"$SYSTEMD\" --system --unit=gaufre-test.target --show-status=0";

// A message bus of which everybody may ask everything.
const BUS_SOCKET: &str =
    "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n";
const BUS_SERVICE: &str = "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\n\
    ExecStart=dbus-daemon --config-file=CONF --nofork --nopidfile\n";
const BUS_CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
    "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><auth>EXTERNAL</auth><listen>systemd:</listen>
<policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>"#;

impl Systemd {
    fn start() -> Self {
        let units = tempfile::tempdir().unwrap();
        fs::write(
            units.path().join("gaufre-test.target"),
            "[Unit]\nDescription=Test\nDefaultDependencies=no\n",
        )
        .unwrap();
        fs::write(units.path().join("dbus.socket"), BUS_SOCKET).unwrap();
        fs::write(units.path().join("bus.conf"), BUS_CONFIGURATION).unwrap();
        let conf = units.path().join("bus.conf");
        fs::write(units.path().join("dbus.service"), BUS_SERVICE.replace("CONF", conf.to_str().unwrap()))
            .unwrap();
        let group = test_group(&units);
        let unshare = Command::new("unshare")
            .args(["-m", "-p", "-f", "sh", "-c", BEGIN])
            .env("GROUP", &group)
            .env("SYSTEMD", program())
            .env("SYSTEMD_UNIT_PATH", units.path())
            .env("container", "gaufre-test")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut systemd = Self { unshare, pid: 0, group, _units: units };
        eventually("systemd is there", || {
            let children = format!("/proc/{0}/task/{0}/children", systemd.unshare.id());
            let children = fs::read_to_string(children).unwrap_or_default();
            systemd.pid = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
            systemd.pid != 0 && Path::new(&format!("/proc/{}/root/run/systemd/private", systemd.pid)).exists()
        });
        systemd
    }

    /// A command in systemd's namespaces.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-m", "-p", program]).stdin(Stdio::null());
        command
    }

    /// The runtime, asking systemd for the bundle's group.
    fn oci(&self, bundle: &Bundle, words: &[&str]) -> Output {
        let plain = bundle.oci(words);
        let mut command = self.inside(plain.get_program().to_str().unwrap());
        let mut args: Vec<_> = plain.get_args().map(ToOwned::to_owned).collect();
        args.insert(0, "--systemd-cgroup".into());
        if matches!(words[0], "run" | "create") {
            args.extend(["--bundle".into(), bundle.dir.path().into()]);
        }
        // Not a pipe: the container would keep it open and `output` would wait for it.
        let (out, err) = (bundle.dir.path().join("out"), bundle.dir.path().join("err"));
        let status = command
            .args(args)
            .stdout(fs::File::create(&out).unwrap())
            .stderr(fs::File::create(&err).unwrap())
            .status()
            .unwrap();
        Output { status, stdout: fs::read(out).unwrap(), stderr: fs::read(err).unwrap() }
    }

    fn must(&self, bundle: &Bundle, words: &[&str]) -> String {
        let outcome = Outcome::of(&self.oci(bundle, words));
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.stderr);
        outcome.stdout
    }

    /// A property of a unit, as systemctl shows it.
    fn property(&self, unit: &str, name: &str) -> String {
        let output = self.inside("systemctl").args(["show", "--value", "-p", name, unit]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A unit's group, on the host.
    fn group_of(&self, path: &str) -> PathBuf {
        self.group.join(path)
    }

    fn has(&self, controller: &str) -> bool {
        fs::read_to_string(self.group.join("cgroup.controllers"))
            .unwrap()
            .split_whitespace()
            .any(|name| name == controller)
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // The first process takes all others of its namespace with it.
        if let Some(pid) = rustix::process::Pid::from_raw(self.pid) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.unshare.wait();
        if !std::thread::panicking() {
            eventually("systemd's groups are gone", || remove_groups(&self.group));
        }
    }
}

pub(crate) fn program() -> &'static Path {
    let systemd = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/usr/sbin/systemd"];
    let systemd = systemd.into_iter().map(Path::new).find(|path| path.exists());
    systemd.expect("systemd is needed (package systemd)")
}

/// A new group of cgroup v2, named after a directory.
pub(crate) fn test_group(dir: &TempDir) -> PathBuf {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let root = if unified.is_dir() { unified } else { Path::new("/sys/fs/cgroup") };
    let number = dir.path().file_name().unwrap().to_string_lossy().replace('.', "");
    let group = root.join(format!("gaufre-test-systemd-{number}"));
    fs::create_dir(&group).unwrap();
    group
}

/// Removes a group with all below it, as far as they are empty; says whether all of it is gone.
pub(crate) fn remove_groups(group: &Path) -> bool {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let dirs = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    dirs.for_each(|dir| _ = remove_groups(&dir));
    let _ = fs::remove_dir(group);
    !group.exists()
}

fn bundle(script: &str, path: &str) -> Bundle {
    Bundle::sh(script).with("/linux/cgroupsPath", json!(path))
}

#[test]
fn systemd_makes_the_scope_in_its_slice_and_forgets_it_after_the_run() {
    let systemd = Systemd::start();
    let bundle = bundle("sleep 60", "foo-bar.slice:test:one")
        .with("/annotations", json!({"org.systemd.property.TimeoutStopSec": "uint64 5"}));
    systemd.must(&bundle, &["create", &bundle.id]);
    let group = systemd.group_of("foo.slice/foo-bar.slice/test-one.scope");
    assert!(!fs::read_to_string(group.join("cgroup.procs")).unwrap().is_empty());
    let unit = "test-one.scope";
    for (name, value) in [
        ("Slice", "foo-bar.slice"),
        ("Delegate", "yes"),
        ("ActiveState", "active"),
        ("TimeoutStopUSec", "5s"),
        ("CollectMode", "inactive-or-failed"),
        ("TasksAccounting", "yes"),
    ] {
        assert_eq!(systemd.property(unit, name), value, "{name}");
    }
    systemd.must(&bundle, &["start", &bundle.id]);
    let found = systemd.must(&bundle, &["exec", &bundle.id, "cat", "/proc/self/cgroup"]);
    assert!(found.lines().any(|line| line == "0::/"), "{found}");
    assert!(systemd.must(&bundle, &["state", &bundle.id]).contains("running"));
    systemd.must(&bundle, &["pause", &bundle.id]);
    assert!(fs::read_to_string(group.join("cgroup.events")).unwrap().contains("frozen 1"));
    systemd.must(&bundle, &["resume", &bundle.id]);
    systemd.must(&bundle, &["delete", "-f", &bundle.id]);
    assert!(!group.exists());
    assert_eq!(systemd.property(unit, "ActiveState"), "inactive");
    assert_eq!(systemd.property(unit, "LoadState"), "not-found");
}

#[test]
fn limits_are_the_scope_s_properties_and_the_group_s_files() {
    let systemd = Systemd::start();
    if !systemd.has("memory") {
        // Without controllers on this host's v2 hierarchy a limit is refused by name, and nothing is left.
        let bundle =
            bundle("true", ":test:two").with("/linux/resources/memory", json!({"limit": 67_108_864}));
        let outcome = Outcome::of(&systemd.oci(&bundle, &["run", &bundle.id]));
        assert!(outcome.code != 0 && outcome.stderr.contains("linux.resources.memory.limit"), "{outcome:?}");
        assert!(!systemd.group_of("system.slice/test-two.scope").exists() && !bundle.state_dir().exists());
        return;
    }
    let bundle = bundle("sleep 60", ":test:two").with(
        "/linux/resources",
        json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 50}, "cpu": {"shares": 1024, "quota": 25_500,
            "period": 100_000, "cpus": "0"}}),
    );
    systemd.must(&bundle, &["create", &bundle.id]);
    let group = systemd.group_of("system.slice/test-two.scope");
    let file = |name: &str| fs::read_to_string(group.join(name)).unwrap().trim().to_owned();
    let unit = "test-two.scope";
    for (name, value) in [
        ("MemoryMax", "67108864"),
        ("TasksMax", "50"),
        ("CPUWeight", "100"),
        ("CPUQuotaPerSecUSec", "260ms"),
        ("AllowedCPUs", "0"),
    ] {
        assert_eq!(systemd.property(unit, name), value, "{name}");
    }
    // Exactly what was asked for, where systemd rounds.
    assert_eq!([file("memory.max"), file("cpu.max"), file("pids.max")], ["67108864", "25500 100000", "50"]);
    systemd.must(&bundle, &["update", "--pids-limit", "60", &bundle.id]);
    assert_eq!((systemd.property(unit, "TasksMax"), file("pids.max")), ("60".into(), "60".into()));
    systemd.must(&bundle, &["delete", "-f", &bundle.id]);
    assert!(!group.exists());
}

#[test]
fn a_run_s_scope_ends_with_its_workload_and_a_name_in_use_is_refused() {
    let systemd = Systemd::start();
    let first = bundle("sleep 60", ":test:three");
    systemd.must(&first, &["create", &first.id]);
    let second = bundle("true", ":test:three");
    let outcome = Outcome::of(&systemd.oci(&second, &["run", &second.id]));
    assert_ne!(outcome.code, 0);
    assert_eq!(systemd.property("test-three.scope", "ActiveState"), "active", "{outcome:?}");
    systemd.must(&first, &["delete", "-f", &first.id]);
    assert_eq!(systemd.must(&bundle("echo done", ":test:three"), &["run", "again"]), "done\n");
    assert_eq!(systemd.property("test-three.scope", "LoadState"), "not-found");
}

#[test]
fn a_path_that_is_not_for_systemd_is_refused_by_its_words() {
    let systemd = Systemd::start();
    for path in ["/some/group", "a:b", "noslice:a:b", "a--b.slice:a:b", ":a:x/../y"] {
        let bundle = bundle("true", path);
        let outcome = Outcome::of(&systemd.oci(&bundle, &["run", &bundle.id]));
        assert!(outcome.code != 0 && outcome.stderr.contains("linux.cgroupsPath"), "{path}: {outcome:?}");
        assert!(!bundle.state_dir().exists());
    }
}

#[test]
fn systemd_is_asked_over_the_message_bus_where_its_own_socket_is_not_to_be_had() {
    let systemd = Systemd::start();
    for words in [["systemctl", "start", "dbus.service"], ["mv", "/run/systemd/private", "/run/systemd/away"]]
    {
        let status = systemd.inside(words[0]).args(&words[1..]).status().unwrap();
        assert!(status.success(), "{words:?}");
    }
    let bundle = bundle("echo done", ":test:four");
    assert_eq!(systemd.must(&bundle, &["run", &bundle.id]), "done\n");
    let moved = systemd.inside("mv").args(["/run/systemd/away", "/run/systemd/private"]).status().unwrap();
    assert!(moved.success());
    assert_eq!(systemd.property("test-four.scope", "LoadState"), "not-found");
}
