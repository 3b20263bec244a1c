//! The library in-process, as an engine uses it: a program without threads, hence without the test harness.
//! A detached overlay is the root, an own socket pair the output, an own exec the judge.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use gaufre_runtime::{
    CreateOptions, CreateRequest, ExecRequest, Exit, Rootfs, StartError, Stdio, Streams, create, exec,
    fork_keeping, kill, spec::default_spec, state::OciState, state::Status, wait,
};
use oci_spec::runtime::Spec;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

fn main() {
    let dir = tempfile::tempdir().unwrap();
    a_detached_overlay_becomes_the_root_and_leaves_the_lower_layer_alone(dir.path());
    a_failed_start_says_that_the_program_was_not_found(dir.path());
    an_abandoned_sandbox_leaves_nothing(dir.path());
    a_copy_keeps_what_it_was_given_and_nothing_else();
    println!("library: all passed");
}

fn a_copy_keeps_what_it_was_given_and_nothing_else() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let not_given = fs::File::open("/dev/null").unwrap();
    let given = fs::File::open("/dev/zero").unwrap();
    let (_, pidfd) = fork_keeping(&[writer.as_fd(), given.as_fd()], |fds| {
        let [writer, given]: [OwnedFd; 2] = fds.try_into().unwrap();
        let open: Vec<i32> =
            (3..100).filter(|fd| Path::new(&format!("/proc/self/fd/{fd}")).exists()).collect();
        let mut expected = [writer.as_raw_fd(), given.as_raw_fd()];
        expected.sort_unstable();
        rustix::io::write(&writer, format!("{}", open == expected).as_bytes()).unwrap();
        drop(writer);
        7
    })
    .unwrap();
    drop(writer);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, "true");
    assert_eq!(wait(pidfd.as_fd()).unwrap(), Exit::Code(7));
    drop((not_given, given));
}

fn a_detached_overlay_becomes_the_root_and_leaves_the_lower_layer_alone(dir: &Path) {
    let spec = spec(&["sh", "-c", "echo written > /file; cat /file; echo $PPID; echo > /said; sleep 60"]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    let streams = Streams { stdin: null.as_fd(), stdout: writer.as_fd(), stderr: writer.as_fd() };
    let request = CreateRequest {
        id: "library-overlay",
        spec: &spec,
        bundle: dir,
        rootfs: Rootfs::Mount(overlay(&dir.join("one"))),
        stdio: Stdio::Streams(streams),
        preserve_fds: &[],
        start_socket: None,
        options: CreateOptions::default(),
    };
    let created = create(request).unwrap();
    assert_ne!(
        namespace(&created.netns().unwrap()),
        namespace(&fs::File::open("/proc/self/ns/net").unwrap().into())
    );
    let running = created.start().unwrap();
    let process = spec.process().clone().unwrap();
    let mut process = process;
    process
        .set_args(Some(["sh", "-c", "until [ -s /said ]; do :; done; exit 6"].map(str::to_owned).to_vec()));
    let executed = exec(ExecRequest {
        pid: running.pid,
        pidfd: running.pidfd.as_fd(),
        state: &OciState::new("library", 1, Status::Running, dir, &BTreeMap::new()),
        spec: &spec,
        process: &process,
        seccomp: spec.linux().as_ref().unwrap().seccomp().as_ref(),
        personality: None,
        cgroup: &running.cgroup,
        stdio: Stdio::Streams(streams),
        preserve_fds: &[],
    })
    .unwrap();
    assert_eq!(wait(executed.pidfd.as_fd()).unwrap(), Exit::Code(6));
    assert!(running.cgroup.controller_dir("pids").is_none() || running.cgroup.stats().pids.current > 0);
    kill(running.pidfd.as_fd(), rustix::process::Signal::KILL).unwrap();
    assert_eq!(wait(running.pidfd.as_fd()).unwrap(), Exit::Signal(9));
    running.cgroup.kill_all().unwrap();
    running.cgroup.delete().unwrap();
    assert!(!running.cgroup.exists());
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "written\n0\n");
    assert!(dir.join("one/upper/file").exists() && !dir.join("one/lower/file").exists());
}

fn a_failed_start_says_that_the_program_was_not_found(dir: &Path) {
    let spec = spec(&["nosuch"]);
    let created = create(request("library-missing", &spec, dir, "two")).unwrap();
    let cgroup = created.cgroup().clone();
    let error = created.start().unwrap_err();
    assert!(matches!(error, StartError::NotFound(_)), "{error:?}");
    assert_eq!(error.exit_code(), 127);
    cgroup.delete().unwrap();
}

fn an_abandoned_sandbox_leaves_nothing(dir: &Path) {
    let spec = spec(&["true"]);
    let created = create(request("library-abandoned", &spec, dir, "three")).unwrap();
    let cgroup = created.cgroup().clone();
    created.abandon().unwrap();
    assert!(!cgroup.exists());
}

fn request<'a>(id: &'a str, spec: &'a Spec, dir: &'a Path, name: &str) -> CreateRequest<'a> {
    let rootfs = Rootfs::Mount(overlay(&dir.join(name)));
    CreateRequest {
        id,
        spec,
        bundle: dir,
        rootfs,
        stdio: Stdio::inherit(),
        preserve_fds: &[],
        start_socket: None,
        options: CreateOptions::default(),
    }
}

fn spec(args: &[&str]) -> Spec {
    let mut spec = default_spec();
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    spec.process_mut().as_mut().unwrap().set_args(Some(args));
    spec
}

/// An overlay over a layer with nothing but busybox, attached nowhere.
fn overlay(dir: &Path) -> OwnedFd {
    for name in ["lower/bin", "upper", "work"] {
        fs::create_dir_all(dir.join(name)).unwrap();
    }
    let busybox = std::env::var("GAUFRE_BUSYBOX").unwrap_or("/bin/busybox".into());
    fs::copy(busybox, dir.join("lower/bin/sh")).expect("a static busybox is needed (package busybox-static)");
    for applet in ["cat", "sleep", "true"] {
        std::os::unix::fs::symlink("sh", dir.join("lower/bin").join(applet)).unwrap();
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    for (key, name) in [("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")] {
        fsconfig_set_string(&context, key, dir.join(name)).unwrap();
    }
    fsconfig_create(&context).unwrap();
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap()
}

fn namespace(fd: &OwnedFd) -> u64 {
    rustix::fs::fstat(fd).unwrap().st_ino
}
