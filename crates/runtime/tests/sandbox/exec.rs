//! exec into a running sandbox.

use crate::bundle::Bundle;

#[test]
fn exec_shares_namespaces_root_cgroup_and_confinement() {
    let bundle = Bundle::sh("touch /dev/shm/mark; sleep 60");
    bundle.start();
    crate::bundle::eventually("the mark", || bundle.exec("ls /dev/shm").stdout == "mark\n");
    let script = "for n in pid mnt uts ipc net cgroup; do [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo $n; done; \
        cmp=$(cat /proc/1/cgroup); [ \"$cmp\" = \"$(cat /proc/self/cgroup)\" ] || echo cgroup differs; \
        grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status > /tmp/a; grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/1/status > /tmp/b; \
        [ \"$(cat /tmp/a)\" = \"$(cat /tmp/b)\" ] || echo confinement; exit 9";
    let outcome = bundle.exec(script);
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("", 9), "{outcome:?}");
}

#[test]
fn exec_reports_a_missing_program() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    for program in ["nosuch", "/etc"] {
        let outcome = bundle.try_verb(&["exec", &bundle.id, program]);
        assert!(outcome.code == 255 && outcome.stderr.contains(program), "{outcome:?}");
    }
    assert_ne!(bundle.try_verb(&["exec", "nobody", "true"]).code, 0);
}

#[test]
fn exec_as_another_user_elsewhere() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let words = [
        "exec",
        "--user",
        "12:34",
        "--cwd",
        "/tmp",
        "--env",
        "X=y",
        &bundle.id,
        "sh",
        "-c",
        "id -u; id -g; pwd; echo $X",
    ];
    assert_eq!(bundle.must(&words), "12\n34\n/tmp\ny\n");
}

#[test]
fn no_descriptor_leaks_into_run_or_exec() {
    // The shell opens the directory itself, at the first free number: 3.
    // The first process is that shell, which may still hold a pipe that it made for the second line.
    let script = "ls /proc/self/fd | wc -l; ls -l /proc/1/fd | grep -v pipe: | grep -c -E ' [3-9][0-9]* ->'";
    let leaky = |bundle: &Bundle, words: &[&str]| {
        use std::os::fd::AsRawFd;
        // A descriptor that the caller of the runtime forgot to close on exec.
        let file = std::fs::File::open("/").unwrap();
        let leak = format!("exec 9</; exec \"$0\" \"$@\" {}", if file.as_raw_fd() == 9 { "" } else { "9</" });
        let command = bundle.oci(words);
        let mut shell =
            std::process::Command::new(std::env::var("GAUFRE_BUSYBOX").unwrap_or("/bin/busybox".into()));
        shell.args(["sh", "-c", &leak]).arg(command.get_program()).args(command.get_args());
        shell.current_dir(bundle.dir.path()).stdin(std::process::Stdio::null());
        String::from_utf8(shell.output().unwrap().stdout).unwrap()
    };
    let bundle = Bundle::sh(script);
    assert_eq!(leaky(&bundle, &["run", &bundle.id]), "4\n0\n");
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    assert_eq!(leaky(&bundle, &["exec", &bundle.id, "sh", "-c", "ls /proc/self/fd | wc -l"]), "4\n");
}
