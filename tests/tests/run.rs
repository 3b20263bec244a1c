//! What `run` promises: exit codes, streams, settings, and nothing left behind.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, Witness, free_port, until};
    use std::io::Write;
    use std::process::Stdio;

    fn ready() -> (Gaufre, String) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        (gaufre, image)
    }

    /// `run --rm --network=none` with arguments split at spaces, then the image and `sh -c script`.
    fn inside(gaufre: &Gaufre, image: &str, options: &str, script: &str) -> String {
        let mut arguments = vec!["run", "--rm", "--network=none"];
        arguments.extend(options.split_whitespace());
        arguments.extend([image, "bash", "-c", script]);
        gaufre.ok(&arguments)
    }

    #[test]
    fn a_run_that_has_ended_leaves_nothing() {
        let _alone = Witness::alone();
        let witness = Witness::now();
        let (gaufre, image) = ready();
        gaufre.ok(&["run", "--rm", &image, "true"]);
        assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "");
        until("the keeper's end", || gaufre.processes().is_empty().then_some(()));
        witness.nothing_more();
    }

    #[test]
    fn the_exit_code_is_the_workloads() {
        let (gaufre, image) = ready();
        let code = |command: &[&str]| {
            gaufre.say(&[&["run", "--rm", "--network=none", &image], command].concat()).code
        };
        assert_eq!(code(&["bash", "-c", "exit 42"]), 42);
        assert_eq!(code(&["no-such-command"]), 127);
        assert_eq!(code(&["/etc/passwd"]), 126);
        assert_eq!(gaufre.say(&["run", "--no-such-flag", &image]).code, 125);
    }

    #[test]
    fn both_streams_and_standard_input_pass_through() {
        let (gaufre, image) = ready();
        let said =
            gaufre.say(&["run", "--rm", "--network=none", &image, "bash", "-c", "echo out; echo err >&2"]);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
        let mut cat = gaufre.command();
        cat.args(["run", "--rm", "-i", "--network=none", &image, "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut cat = cat.spawn().unwrap();
        let text = "waffle\n".repeat(100_000);
        let mut input = cat.stdin.take().unwrap();
        let sent = text.clone();
        let writer = std::thread::spawn(move || input.write_all(sent.as_bytes()));
        let output = cat.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(
            output.stdout == text.as_bytes(),
            "{} of {} bytes came back",
            output.stdout.len(),
            text.len()
        );
    }

    #[test]
    fn settings_reach_the_workload() {
        let (gaufre, image) = ready();
        let inside = |options: &str, script: &str| inside(&gaufre, &image, options, script);
        assert_eq!(inside("-e TOPPING=sugar", "echo $TOPPING"), "sugar\n");
        assert_eq!(inside("-w /usr", "pwd"), "/usr\n");
        assert_eq!(inside("-u 1234:99", "id -u; id -g"), "1234\n99\n");
        assert_eq!(inside("--hostname iron", "cat /proc/sys/kernel/hostname"), "iron\n");
        assert_eq!(inside("--read-only", "touch /x 2> /dev/null || echo refused"), "refused\n");
        assert_eq!(inside("--tmpfs /scratch", "stat -f -c %T /scratch"), "tmpfs\n");
        assert_eq!(inside("--ulimit nofile=512:512", "ulimit -n"), "512\n");
        assert_eq!(
            inside("--cap-drop all", "grep CapEff /proc/self/status | cut -f 2"),
            "0000000000000000\n"
        );
        assert_eq!(
            inside("--init", "cat /proc/1/comm | wc -l; echo $$ | grep -qv '^1$' && echo child"),
            "1\nchild\n"
        );
        assert_eq!(inside("", "ls /sys/class/net"), "lo\n");
        assert_eq!(inside("", "set -- /proc/[0-9]*; echo $#"), "1\n");
    }

    #[test]
    fn a_memory_limit_ends_what_exceeds_it() {
        let (gaufre, image) = ready();
        let script = "head -c 200m /dev/zero | tail -c 200m | wc -c";
        let arguments = ["run", "--rm", "--network=none", "-m", "64m", &image, "bash", "-c", script];
        let said = gaufre.say(&arguments);
        assert_ne!((said.code, said.out.trim()), (0, "209715200"), "200 MB fitted into 64 MB");
    }

    #[test]
    fn a_limit_on_processes_holds() {
        let (gaufre, image) = ready();
        let script = "for i in $(seq 40); do sleep 2 & done 2>&1; wait";
        let said =
            gaufre.say(&["run", "--rm", "--network=none", "--pids-limit=10", &image, "bash", "-c", script]);
        assert!(format!("{}{}", said.out, said.err).contains("fork"), "{said:?}");
    }

    #[test]
    fn a_detached_container_is_listed_logged_entered_and_removed() {
        let (gaufre, image) = ready();
        let script = "echo first; echo second >&2; exec sleep 1000";
        let id = gaufre.ok(&["run", "-d", "--name", "long", "--network=none", &image, "bash", "-c", script]);
        assert_eq!(id.trim().len(), 64, "{id}");
        assert!(gaufre.ok(&["ps"]).contains("long"));
        let listed: serde_json::Value =
            serde_json::from_str(&gaufre.ok(&["ps", "--format", "json"])).unwrap();
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
        until("both lines in the log", || {
            let said = gaufre.say(&["logs", "long"]);
            (said.out == "first\n" && said.err == "second\n").then_some(())
        });
        assert_eq!(gaufre.ok(&["exec", "long", "echo", "inside"]), "inside\n");
        gaufre.fails(127, &["exec", "long", "no-such-command"]);
        let inspected: serde_json::Value = serde_json::from_str(&gaufre.ok(&["inspect", "long"])).unwrap();
        assert_eq!(inspected[0]["State"]["Running"], serde_json::json!(true), "{inspected}");
        gaufre.ok(&["kill", "long"]);
        assert_eq!(gaufre.ok(&["wait", "long"]).trim(), "137");
        gaufre.ok(&["rm", "long"]);
        assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "");
    }

    #[test]
    fn bad_input_gives_one_clear_error_and_leaves_nothing() {
        let (gaufre, image) = ready();
        let refused = |code: i32, options: &[&str], part: &str| {
            let said = gaufre
                .fails(code, &[&["run", "--rm", "--network=none"], options, &[&image, "true"]].concat());
            assert!(said.contains(part), "{part:?} is not in: {said}");
            assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "");
        };
        // As podman has it: the command cannot be run as such a user.
        refused(126, &["-u", "nobody-at-all"], "nobody-at-all");
        refused(125, &["-v", "/no/such/folder:/data"], "/no/such/folder");
        refused(125, &["-m", "lots"], "lots");
        refused(125, &["--ulimit", "waffles=3"], "waffles");
        refused(125, &["--cpuset-cpus", "0-4095"], "--cpuset-cpus 0-4095");
        // So little that the kernel kills the first process while it prepares.
        refused(125, &["-m", "64k"], "memory limit of 64 KiB");
        gaufre.fails(125, &["run", "--rm", "--pull=never", "example.com/no/such:image", "true"]);
        gaufre.fails(125, &["exec", "no-such-container", "true"]);
        gaufre.ok(&["create", "--name=web", "--network=none", &image, "true"]);
        let said = gaufre.fails(125, &["attach", "web"]);
        assert!(said.contains("is not running") && said.contains("gaufre start --attach"), "{said}");
    }

    #[test]
    fn a_port_in_use_is_named() {
        let (gaufre, image) = ready();
        let listener = std::net::TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let port = listener.local_addr().unwrap().port();
        let publish = format!("127.0.0.1:{port}:80");
        let said = gaufre.fails(125, &["run", "--rm", "-p", &publish, &image, "true"]);
        assert!(said.contains(&port.to_string()), "{said}");
    }

    #[test]
    fn a_run_that_does_not_come_to_run_leaves_nothing_and_can_be_given_again() {
        let (gaufre, image) = ready();
        let listener = std::net::TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let publish = format!("127.0.0.1:{}:80", listener.local_addr().unwrap().port());
        let id_file = gaufre.dir().join("id");
        let id_file_flag = format!("--cidfile={}", id_file.display());
        let refused = |code: i32, options: &[&str], command: &str| {
            let fixed = ["run", "--name=web", "--volume=/data", &id_file_flag];
            let said = gaufre.fails(code, &[&fixed, options, &[&image, command]].concat());
            assert!(!said.contains("in use by container"), "{said}");
            assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "", "after: {said}");
            assert!(!id_file.exists(), "after: {said}");
        };
        for how in ["--detach", "--attach=stdout"] {
            refused(125, &[how, "-p", &publish], "true");
            refused(127, &[how, "--network=none"], "no-such-command");
            refused(126, &[how, "--network=none"], "/etc/passwd");
            refused(126, &[how, "--network=none", "-u", "nobody-at-all"], "true");
            refused(127, &[how, "--network=none", "--restart=always"], "no-such-command");
        }
        let volumes = std::fs::read_dir(gaufre.dir().join("root/volumes"));
        assert_eq!(volumes.map_or(0, Iterator::count), 0, "volumes without a name are left");
        drop(listener);
        gaufre.ok(&["run", "--detach", "--name=web", "-p", &publish, &image, "sleep", "1000"]);
    }

    #[test]
    fn a_container_that_was_created_stays_when_it_cannot_be_started() {
        let (gaufre, image) = ready();
        let listener = std::net::TcpListener::bind(("127.0.0.1", free_port())).unwrap();
        let publish = format!("127.0.0.1:{}:80", listener.local_addr().unwrap().port());
        gaufre.ok(&["create", "--name=web", "-p", &publish, &image, "sleep", "1000"]);
        gaufre.fails(125, &["start", "web"]);
        let why = gaufre.ok(&["inspect", "--format", "{{.State.Error}}", "web"]);
        assert!(why.contains("in use"), "{why}");
        drop(listener);
        gaufre.ok(&["start", "web"]);
    }
}
