//! A runtime that is itself in a chroot(2), where the root of its mount namespace is another than its own.

use std::fs;
use std::process::{Command, Stdio};

use crate::bundle::{Bundle, eventually};

/// Creates and starts in a copy of the host's tree, which is mounted for that alone.
fn start_in_chroot(bundle: &Bundle, options: &[&str]) {
    let copy = bundle.dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let run = bundle.oci(&[&["run", "--detach"], options, &[bundle.id.as_str()]].concat());
    let script = "mount -o rbind / \"$0\" && exec chroot \"$0\" sh -c 'cd \"$0\" && exec \"$@\"' \"$@\"";
    let mut chrooted = Command::new("unshare");
    chrooted.args(["--mount", "sh", "-c", script]).arg(&copy).arg(bundle.dir.path());
    // Not a pipe: the container would keep it open.
    let log = fs::File::create(bundle.dir.path().join("log")).unwrap();
    chrooted.arg(run.get_program()).args(run.get_args()).stdin(Stdio::null());
    let status = chrooted.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
    assert!(status.success(), "{}", fs::read_to_string(bundle.dir.path().join("log")).unwrap());
}

#[test]
fn a_sandbox_made_in_a_chroot_has_its_root_for_those_who_enter_later() {
    for options in [&[][..], &["--no-pivot"]] {
        let bundle = Bundle::sh("ls /; sleep 600");
        start_in_chroot(&bundle, options);
        let expected = "bin\ndev\netc\nproc\nsys\ntmp\nusr\n";
        let log = bundle.dir.path().join("log");
        eventually("the workload", || fs::read_to_string(&log).unwrap() == expected);
        let entered = bundle.exec("ls /");
        assert_eq!(entered.stdout, expected, "{options:?}: {}", entered.stderr);
        bundle.must(&["delete", "-f", &bundle.id]);
    }
}
