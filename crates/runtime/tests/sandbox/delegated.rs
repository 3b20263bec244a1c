//! Without root, and limits: in a group of cgroup v2 that is given to the user, with one below it in which the user's
//! processes are, as systemd makes them with `Delegate=` and `DelegateSubgroup=`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bundle::{Bundle, Outcome, eventually};
use crate::rootless::{USER, copy_runtime, give, rootless};
use crate::systemd::{remove_groups, test_group};

/// A group with the controllers of the host's, and one below it.
struct Group(PathBuf);

impl Group {
    /// That of `owner`, with the groups below that are there already.
    fn of(owner: u32) -> Self {
        let dir = TempDir::new().unwrap();
        let group = Self(test_group(&dir));
        fs::create_dir(group.caller()).unwrap();
        for dir in [group.0.clone(), group.caller()] {
            for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                lchown(dir.join(name), Some(owner), Some(owner)).unwrap();
            }
        }
        group
    }

    fn caller(&self) -> PathBuf {
        self.0.join("caller")
    }

    /// A limit that can be had here, where it is to be seen, and as what.
    fn limit(&self) -> (Value, &'static str, &'static str) {
        let controllers = fs::read_to_string(self.0.join("cgroup.controllers")).unwrap();
        if controllers.contains("pids") {
            (json!({"pids": {"limit": 5}}), "pids.max", "5\n")
        } else {
            assert!(
                controllers.contains("hugetlb"),
                "a controller is needed on cgroup v2, not only {controllers:?}"
            );
            let limit = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]});
            (limit, "hugetlb.2MB.max", "4194304\n")
        }
    }

    /// As the user, from the group that is for the user's processes.
    fn run(&self, bundle: &Bundle, words: &[&str]) -> Outcome {
        let plain = bundle.oci(words);
        give(bundle.dir.path());
        let mut command = Command::new(copy_runtime(bundle, plain.get_program()));
        command.args(plain.get_args()).env("HOME", "/nonexistent");
        let mut procs = fs::File::options().write(true).open(self.caller().join("cgroup.procs")).unwrap();
        let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
        let enter = move || {
            procs.write_all(b"0")?;
            set_thread_groups(&[])?;
            set_thread_res_gid(gid, gid, gid)?;
            Ok(set_thread_res_uid(uid, uid, uid)?)
        };
        // SAFETY: between fork and execution the closure makes system calls only.
        unsafe { command.pre_exec(enter) };
        // Not a pipe: the container would keep it open and `output` would wait for it.
        let (out, err) = (bundle.dir.path().join("out"), bundle.dir.path().join("err"));
        command.stdin(Stdio::null()).current_dir(bundle.dir.path());
        command.stdout(fs::File::create(&out).unwrap()).stderr(fs::File::create(&err).unwrap());
        let status = command.status().unwrap();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        Outcome { code: status.code().unwrap_or(-1), stdout: read(&out), stderr: read(&err) }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let gone = || remove_groups(&self.0);
        if std::thread::panicking() {
            gone();
        } else {
            eventually("the user's groups are gone", gone);
        }
    }
}

#[test]
fn limits_apply_in_a_group_that_is_delegated_to_the_user() {
    let group = Group::of(USER);
    let (limit, file, shown) = group.limit();
    let forks = "(for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; echo all of them); sleep 60";
    let bundle = rootless(forks).with("/linux/resources", limit.clone());
    let outcome = group.run(&bundle, &["run", "--detach", &bundle.id]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    // Beside the group of the processes that made it: below a group with processes there are no controllers.
    let own = group.0.join("gaufre").join(&bundle.id);
    assert_eq!(fs::read_to_string(own.join(file)).unwrap(), shown);
    assert!(!fs::read_to_string(own.join("cgroup.procs")).unwrap().is_empty());
    let said = || fs::read_to_string(bundle.dir.path().join("out")).unwrap();
    let complained = || fs::read_to_string(bundle.dir.path().join("err")).unwrap();
    if file == "pids.max" {
        eventually("the limit is felt", || complained().contains("can't fork"));
    } else {
        eventually("the workload goes on", || said().contains("all of them"));
    }
    let outcome = group.run(&bundle, &["update", "--pids-limit", "9", &bundle.id]);
    if file == "pids.max" {
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(fs::read_to_string(own.join(file)).unwrap(), "9\n");
    } else {
        assert!(outcome.stderr.contains("pids.limit") && outcome.stderr.contains("delegated"), "{outcome:?}");
    }
    let outcome = group.run(&bundle, &["exec", &bundle.id, "cat", "/proc/self/cgroup"]);
    assert!(outcome.stdout.lines().any(|line| line == "0::/"), "{outcome:?}");
    let outcome = group.run(&bundle, &["delete", "--force", &bundle.id]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(!own.exists() && !bundle.state_dir().exists());
}

#[test]
fn without_delegation_a_limit_is_refused_by_its_name_and_anything_else_works() {
    let group = Group::of(0);
    let (limit, ..) = group.limit();
    let bundle = rootless("echo runs").with("/linux/resources", limit);
    let outcome = group.run(&bundle, &["run", &bundle.id]);
    let word = outcome.stderr.contains("linux.resources.") || outcome.stderr.contains("hugepageLimits");
    assert!(outcome.code == 1 && word, "{outcome:?}");
    assert!(outcome.stderr.contains("has not delegated to this user"), "{outcome:?}");
    assert!(!bundle.state_dir().exists());
    let bundle = rootless("echo runs");
    let outcome = group.run(&bundle, &["run", &bundle.id]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "runs\n"), "{outcome:?}");
}
