//! What a process of a container can open of the runtime's processes that it sees: in a PID namespace that another container
//! joins, and of those that are executed in it.

use std::fs::{self, File};
use std::path::Path;

use serde_json::json;

use crate::bundle::{Bundle, eventually};
use crate::probe::probing;
use crate::users::{add_namespace, mapped};

/// In the root of each of the two containers.
const MARK: &str = "mark-of-a-container";

/// Runs inside a container: until /tmp/stop is there, tries to open all that /proc has of every other process, and prints
/// what is not a container's own.
#[test]
#[ignore = "runs inside a container"]
fn opens_what_it_sees() {
    let own = std::process::id().to_string();
    let mut refused = 0;
    for round in 0.. {
        fs::write("/tmp/new", format!("{round} {refused}")).unwrap();
        fs::rename("/tmp/new", "/tmp/round").unwrap();
        if Path::new("/tmp/stop").exists() {
            break;
        }
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name.bytes().all(|byte| byte.is_ascii_digit()) && name != own {
                refused += u64::from(look_into(&entry.path()));
            }
        }
    }
    println!("REFUSED <{refused}>");
}

/// Prints what can be opened and is not a container's own; whether the process is hidden.
fn look_into(process: &Path) -> bool {
    use std::io::ErrorKind::PermissionDenied;
    let mem = File::open(process.join("mem"));
    let exe = File::open(process.join("exe"));
    let hidden = exe.as_ref().is_err_and(|error| error.kind() == PermissionDenied);
    if let Some(name) = exe.ok().as_ref().map(name_of).filter(|name| !name.starts_with("/bin/")) {
        println!("OPENED <exe {name}>");
    }
    if hidden && mem.is_ok() {
        println!("OPENED <mem>");
    }
    for dir in ["root", "cwd"] {
        let Ok(dir) = File::open(process.join(dir)) else { continue };
        if !Path::new(&path_of(&dir)).join(MARK).exists() {
            println!("OPENED <directory {}>", name_of(&dir));
        }
    }
    for file in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
        let Ok(file) = File::open(file.path()) else { continue };
        let name = name_of(&file);
        if is_null_device(&file) {
            continue;
        }
        let harmless = ["/dev/pts/", "/bin/", "pipe:", "/proc", "/tmp"];
        if !harmless.iter().any(|start| name.starts_with(start)) && !name.ends_with("/log") {
            println!("OPENED <{name}>");
        }
    }
    hidden
}

/// It has no path here where it is the other container's, or a standard stream's.
fn is_null_device(file: &File) -> bool {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let known = file.metadata().unwrap();
    known.file_type().is_char_device() && known.rdev() == rustix::fs::makedev(1, 3)
}

fn path_of(file: &File) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn name_of(file: &File) -> String {
    let link = fs::read_link(path_of(file));
    link.map_or_else(|error| error.to_string(), |name| name.to_string_lossy().into_owned())
}
/// Every capability but the one that opens everything.
fn all_but_ptrace(bundle: Bundle) -> Bundle {
    let mut all = serde_json::to_value(gaufre_runtime::available_capabilities()).unwrap();
    all.as_array_mut().unwrap().retain(|name| name != "CAP_SYS_PTRACE");
    with_capabilities(bundle, &all)
}

fn with_capabilities(bundle: Bundle, all: &serde_json::Value) -> Bundle {
    let bundle =
        bundle.with("/process/capabilities", json!({"bounding": all, "permitted": all, "effective": all}));
    bundle.with("/linux/seccomp", serde_json::Value::Null)
}

fn marked(bundle: Bundle) -> Bundle {
    fs::write(bundle.rootfs().join(MARK), "").unwrap();
    bundle
}

fn nothing_of_the_runtime_is_opened(first: &Bundle, second: &Bundle) {
    let tmp = first.rootfs().join("tmp");
    let round = || -> Option<(u64, u64)> {
        let text = fs::read_to_string(tmp.join("round")).ok()?;
        let (round, refused) = text.split_once(' ')?;
        Some((round.parse().ok()?, refused.parse().ok()?))
    };
    eventually("the watcher", || round().is_some());
    // One that waits for its start is looked at from all sides.
    second.create();
    let (begin, refused) = round().unwrap();
    eventually("two rounds", || round().is_some_and(|(now, _)| now > begin + 2));
    assert!(round().unwrap().1 > refused, "the created container was not seen");
    second.must(&["start", &second.id]);
    second.must(&["delete", "--force", &second.id]);
    for _ in 0..100 {
        let outcome = second.run();
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(first.exec("true").code, 0);
    }
    fs::write(tmp.join("stop"), "").unwrap();
    let log = first.dir.path().join("log");
    eventually("the report", || fs::read_to_string(&log).unwrap().contains("REFUSED"));
    let report = fs::read_to_string(log).unwrap();
    assert!(!report.contains("OPENED"), "{report}");
}

#[test]
fn a_container_that_joins_a_pid_namespace_shows_nothing_of_the_host_there_while_it_is_made() {
    let first = all_but_ptrace(marked(probing("hidden::opens_what_it_sees")));
    first.start();
    let mut second = all_but_ptrace(marked(Bundle::sh("true")));
    add_namespace(&mut second, json!({"type": "pid", "path": format!("/proc/{}/ns/pid", first.pid())}));
    nothing_of_the_runtime_is_opened(&first, &second);
}

/// Its capabilities are those of the user namespace, CAP_SYS_PTRACE among them, and nothing outside.
#[test]
fn nor_does_one_that_joins_the_user_namespace_as_well() {
    let all = serde_json::to_value(gaufre_runtime::available_capabilities()).unwrap();
    let first = with_capabilities(mapped(marked(probing("hidden::opens_what_it_sees"))), &all);
    first.start();
    let mut second = with_capabilities(mapped(marked(Bundle::sh("true"))), &all);
    for name in ["pid", "user"] {
        add_namespace(&mut second, json!({"type": name, "path": format!("/proc/{}/ns/{name}", first.pid())}));
    }
    let linux = second.spec["linux"].as_object_mut().unwrap();
    linux.retain(|key, _| !key.ends_with("Mappings"));
    nothing_of_the_runtime_is_opened(&first, &second);
}
