//! Create, start, stop, kill, wait, remove: what each does and how it ends, as podman's users expect it.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, Witness, tool, until};
    use serde_json::Value;
    use std::time::{Duration, Instant};

    fn ready() -> (Gaufre, String) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        (gaufre, image)
    }

    fn detached(gaufre: &Gaufre, image: &str, options: &str, script: &str) -> String {
        let mut arguments = vec!["run", "-d", "--network=none"];
        arguments.extend(options.split_whitespace());
        arguments.extend([image, "bash", "-c", script]);
        gaufre.ok(&arguments).trim().to_owned()
    }

    fn inspect(gaufre: &Gaufre, name: &str) -> Value {
        let inspected: Value = serde_json::from_str(&gaufre.ok(&["inspect", name])).unwrap();
        inspected[0].clone()
    }

    #[test]
    fn each_verb_knows_what_state_it_finds() {
        let (gaufre, image) = ready();
        gaufre.ok(&["create", "--name=one", "--network=none", &image, "bash", "-c", "sleep 1000"]);
        assert_eq!(inspect(&gaufre, "one")["State"]["Status"], "created");
        gaufre.fails(125, &["kill", "one"]);
        gaufre.fails(255, &["exec", "one", "true"]);
        gaufre.fails(125, &["attach", "one"]);
        gaufre.ok(&["stop", "one"]);
        gaufre.ok(&["start", "one"]);
        gaufre.ok(&["start", "one"]);
        let said = gaufre.fails(2, &["rm", "one"]);
        assert!(said.contains("--force") && said.contains("running"), "{said}");
        gaufre.ok(&["stop", "--time=0", "one"]);
        gaufre.ok(&["stop", "one"]);
        assert_eq!(gaufre.ok(&["wait", "one"]), "137\n");
        let said = gaufre.fails(255, &["exec", "one", "true"]);
        assert!(said.contains("not running"), "{said}");
        gaufre.fails(125, &["kill", "one"]);
        gaufre.ok(&["start", "one"]);
        gaufre.ok(&["rm", "--force", "--time=0", "one"]);
        gaufre.fails(1, &["rm", "one"]);
        gaufre.ok(&["rm", "--force", "one"]);
        gaufre.fails(125, &["stop", "one"]);
        gaufre.ok(&["stop", "--ignore", "one"]);
        gaufre.fails(125, &["start", "one"]);
        gaufre.fails(125, &["wait", "one"]);
    }

    #[test]
    fn stop_honours_the_signal_and_the_time() {
        let (gaufre, image) = ready();
        let polite = "trap 'exit 3' TERM; trap 'exit 4' USR1; echo ready; while :; do sleep 0.05; done";
        let stopped = |options: &str, script: &str, stop: &[&str]| {
            let id = detached(&gaufre, &image, options, script);
            until("its traps", || gaufre.ok(&["logs", &id]).contains("ready").then_some(()));
            let begun = Instant::now();
            gaufre.ok(&[&["stop"], stop, &[&id]].concat());
            let took = begun.elapsed();
            let code = gaufre.ok(&["wait", &id]);
            gaufre.ok(&["rm", &id]);
            (code, took)
        };
        assert_eq!(stopped("", polite, &[]).0, "3\n");
        assert_eq!(stopped("--stop-signal=USR1", polite, &[]).0, "4\n");
        let deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
        let (code, took) = stopped("", deaf, &["--time=1"]);
        assert_eq!(code, "137\n");
        // Without a time it would be ten seconds.
        assert!((1000..10_000).contains(&took.as_millis()), "{took:?}");
        let (code, took) = stopped("--stop-timeout=1", deaf, &[]);
        assert_eq!(code, "137\n");
        assert!((1000..10_000).contains(&took.as_millis()), "{took:?}");
        // Killed before it could be polite.
        assert_eq!(stopped("", polite, &["--time=0"]).0, "137\n");
    }

    #[test]
    fn a_policy_restarts_until_a_user_stops_it() {
        let (gaufre, image) = ready();
        let restarts = |name: &str| inspect(&gaufre, name)["RestartCount"].as_u64().unwrap();
        let flags = gaufre.dir().join("flags");
        std::fs::create_dir(&flags).unwrap();
        let options = format!("--restart=always --name=always -v {}:/flags", flags.display());
        let id = detached(&gaufre, &image, &options, "[ ! -e /flags/stay ] || sleep 1000");
        until("three restarts", || (restarts(&id) >= 3).then_some(()));
        gaufre.ok(&["stop", &id]);
        assert_eq!(inspect(&gaufre, &id)["State"]["Status"], "exited");
        let count = restarts(&id);
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(restarts(&id), count);
        std::fs::write(flags.join("stay"), "").unwrap();
        gaufre.ok(&["start", &id]);
        assert_eq!(restarts(&id), 0, "restarts are not counted anew");
        gaufre.ok(&["rm", "-f", "--time=0", &id]);

        let id = detached(&gaufre, &image, "--restart=on-failure:2", "exit 6");
        assert_eq!(gaufre.ok(&["wait", &id]), "6\n");
        assert_eq!(restarts(&id), 2);
        let id = detached(&gaufre, &image, "--restart=on-failure", "exit 0");
        assert_eq!(gaufre.ok(&["wait", &id]), "0\n");
        assert_eq!(restarts(&id), 0);
        let id = detached(&gaufre, &image, "--restart=unless-stopped", "sleep 1000");
        gaufre.ok(&["kill", &id]);
        until("its end", || (inspect(&gaufre, &id)["State"]["Status"] == "exited").then_some(()));
        // The logs of all runs are one.
        let id = detached(&gaufre, &image, "--restart=on-failure:3", "echo run; exit 1");
        gaufre.ok(&["wait", &id]);
        assert_eq!(gaufre.ok(&["logs", &id]), "run\n".repeat(4));
    }

    #[test]
    fn a_stop_between_two_restarts_is_heard_at_once() {
        let (gaufre, image) = ready();
        let id = detached(&gaufre, &image, "--restart=always", "exit 1");
        // The pause has grown to six seconds by now.
        until("six restarts", || (inspect(&gaufre, &id)["RestartCount"].as_u64() >= Some(6)).then_some(()));
        until("the pause", || (inspect(&gaufre, &id)["State"]["Status"] == "restarting").then_some(()));
        let begun = Instant::now();
        gaufre.ok(&["stop", &id]);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(inspect(&gaufre, &id)["State"]["Status"], "exited");
        gaufre.ok(&["rm", &id]);
    }

    #[test]
    fn names_and_the_beginnings_of_ids_are_told_apart() {
        let (gaufre, image) = ready();
        gaufre.ok(&["create", "--name=taken", &image, "true"]);
        let said = gaufre.fails(125, &["create", "--name=taken", &image, "true"]);
        assert!(said.contains("taken") && said.contains("in use"), "{said}");
        gaufre.fails(125, &["create", "--name=../x", &image, "true"]);
        let ids: Vec<String> =
            (0..17).map(|_| gaufre.ok(&["create", &image, "true"]).trim().to_owned()).collect();
        // Of seventeen IDs two begin alike.
        let twice = ids
            .iter()
            .map(|id| &id[..1])
            .find(|start| ids.iter().filter(|id| id.starts_with(start)).count() > 1);
        let said = gaufre.fails(125, &["inspect", "--type=container", twice.unwrap()]);
        assert!(said.contains("several"), "{said}");
        assert_eq!(inspect(&gaufre, &ids[0][..12])["Id"], ids[0].as_str());
        gaufre.ok(&["rm", "taken"]);
        gaufre.ok(&["create", "--name=taken", &image, "true"]);
        let names = gaufre.ok(&["ps", "-a", "--format", "{{.Names}}"]);
        assert_eq!(names.lines().collect::<std::collections::BTreeSet<_>>().len(), 18);
    }

    #[test]
    fn init_reaps_what_nobody_else_does_and_hands_signals_on() {
        let (gaufre, image) = ready();
        // The shell does not know its child's child, which is the first process's once that child has gone.
        let script = "(sleep 1000 & echo $! > /orphan); trap 'echo asked; exit 8' TERM; echo ready; \
                      while :; do sleep 0.05; done";
        let id = detached(&gaufre, &image, "--init", script);
        until("ready", || gaufre.ok(&["logs", &id]).contains("ready").then_some(()));
        let parents = gaufre.ok(&["exec", &id, "bash", "-c", "cut -d' ' -f2,4 /proc/$(< /orphan)/stat"]);
        assert_eq!(parents, "(sleep) 1\n");
        gaufre.ok(&["exec", &id, "bash", "-c", "kill $(< /orphan)"]);
        until("the orphan to be reaped", || {
            (gaufre.say(&["exec", &id, "bash", "-c", "test ! -e /proc/$(< /orphan)"]).code == 0).then_some(())
        });
        gaufre.ok(&["stop", &id]);
        assert_eq!(gaufre.ok(&["wait", &id]), "8\n");
        assert!(gaufre.ok(&["logs", &id]).contains("asked"));
        gaufre.ok(&["rm", &id]);
        gaufre.fails(127, &["run", "--rm", "--init", "--network=none", "--entrypoint=/no/such", &image]);
    }

    #[test]
    fn keepers_leave_no_zombie() {
        let (gaufre, image) = ready();
        let id = detached(&gaufre, &image, "--restart=always", "sleep 0.1");
        let path = gaufre.dir().join("run/sandboxes").join(&id).join("state.json");
        until("some restarts", || (inspect(&gaufre, &id)["RestartCount"].as_u64() >= Some(3)).then_some(()));
        // Between two runs a keeper has ended children, for a moment.
        let keeper = until("a run", || {
            let state: Value = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
            (state["phase"]["name"] == "running").then(|| state["keeper_pid"].clone())
        });
        let zombies =
            gaufre_tests::tool("ps").args(["-o", "stat=", "--ppid", &keeper.to_string()]).output().unwrap();
        let zombies = String::from_utf8_lossy(&zombies.stdout).into_owned();
        assert!(zombies.lines().filter(|state| state.starts_with('Z')).count() <= 1, "{zombies}");
        gaufre.ok(&["rm", "-f", "--time=0", &id]);
    }

    #[test]
    fn what_is_asked_for_reaches_the_workload_and_inspect() {
        let (gaufre, image) = ready();
        let file = gaufre.dir().join("env");
        std::fs::write(&file, "# comment\nFROM_FILE=yes\nBOTH=file\n").unwrap();
        let cidfile = gaufre.dir().join("cid");
        let options = format!(
            "--env-file={} -e BOTH=flag --label a=b --cidfile={} --name=asked -w /usr",
            file.display(),
            cidfile.display()
        );
        let id = detached(&gaufre, &image, &options, "echo $FROM_FILE $BOTH; pwd");
        assert_eq!(gaufre.ok(&["wait", "asked"]), "0\n");
        assert_eq!(gaufre.ok(&["logs", "asked"]), "yes flag\n/usr\n");
        assert_eq!(std::fs::read_to_string(&cidfile).unwrap(), id);
        assert_eq!(inspect(&gaufre, "asked")["Config"]["Labels"]["a"], "b");
        let option = format!("--cidfile={}", cidfile.display());
        gaufre.fails(125, &["create", &option, &image, "true"]);
        assert_eq!(gaufre.ok(&["ps", "-aq"]).lines().count(), 1);
        let said = gaufre.ok(&["run", "--rm", "--network=none", "--entrypoint=/bin/echo", &image, "over"]);
        assert_eq!(said, "over\n");
    }

    #[test]
    fn exec_does_what_it_is_told() {
        let (gaufre, image) = ready();
        let id = detached(&gaufre, &image, "-e KEPT=1 -u 7:8", "sleep 1000");
        let exec = |options: &[&str], script: &str| {
            gaufre.ok(&[&["exec"], options, &[&id, "bash", "-c", script]].concat())
        };
        assert_eq!(exec(&[], "id -u; id -g; echo $KEPT; pwd"), "7\n8\n1\n/\n");
        assert_eq!(
            exec(&["-u", "0", "-w", "/etc", "-e", "KEPT=2"], "id -u; pwd; echo $KEPT"),
            "0\n/etc\n2\n"
        );
        gaufre.fails(126, &["exec", "-u", "nobody-at-all", &id, "true"]);
        gaufre.fails(127, &["exec", &id, "no-such-command"]);
        gaufre.fails(126, &["exec", &id, "/etc/passwd"]);
        assert_eq!(gaufre.say(&["exec", &id, "bash", "-c", "exit 33"]).code, 33);
        assert_eq!(gaufre.say(&["exec", &id, "bash", "-c", "kill -KILL $$"]).code, 137);
        gaufre.ok(&["exec", "-d", "-u", "0", &id, "bash", "-c", "sleep 0.2; echo done > /done"]);
        until("what runs in the background", || (exec(&[], "cat /done || true") == "done\n").then_some(()));
        let mut cat = gaufre.command();
        cat.args(["exec", "-i", &id, "cat"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped());
        let mut cat = cat.spawn().unwrap();
        std::io::Write::write_all(&mut cat.stdin.take().unwrap(), b"through\n").unwrap();
        assert_eq!(cat.wait_with_output().unwrap().stdout, b"through\n");
        // One that is inside when the sandbox ends goes with it.
        let mut inside = gaufre.command();
        inside.args(["exec", &id, "bash", "-c", "echo inside; exec sleep 1000"]);
        let mut inside = inside.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut said = [0; 7];
        std::io::Read::read_exact(inside.stdout.as_mut().unwrap(), &mut said).unwrap();
        gaufre.ok(&["stop", "--time=0", &id]);
        assert_eq!(inside.wait_with_output().unwrap().status.code(), Some(137));
    }

    #[test]
    fn too_much_memory_ends_it_and_inspect_says_so() {
        let (gaufre, image) = ready();
        let id = detached(
            &gaufre,
            &image,
            "-m 32m --memory-swap 32m",
            "x=$(head -c 100m /dev/zero | tr '\\0' x); echo ${#x}",
        );
        assert_eq!(gaufre.ok(&["wait", &id]), "137\n");
        assert_eq!(inspect(&gaufre, &id)["State"]["OOMKilled"], true);
        let id = detached(&gaufre, &image, "", "exit 137");
        gaufre.ok(&["wait", &id]);
        assert_eq!(inspect(&gaufre, &id)["State"]["OOMKilled"], false);
    }

    #[test]
    fn limits_and_privileges_are_as_asked() {
        let (gaufre, image) = ready();
        let inside = |options: &str, script: &str| {
            let mut arguments = vec!["run", "--rm", "--network=none"];
            arguments.extend(options.split_whitespace());
            arguments.extend([image.as_str(), "bash", "-c", script]);
            gaufre.ok(&arguments)
        };
        assert_eq!(inside("--shm-size=2m", "df --output=size -B1 /dev/shm | tail -1").trim(), "2097152");
        assert_eq!(inside("--read-only --tmpfs /t", "touch /t/x /tmp/y && echo fine"), "fine\n");
        assert_eq!(inside("--ulimit nofile=77:99", "ulimit -Sn; ulimit -Hn"), "77\n99\n");
        assert_eq!(inside("--device=/dev/null:/dev/nothing", "echo x > /dev/nothing && echo fine"), "fine\n");
        let quota =
            "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max";
        assert_eq!(inside("--cpus=0.5", quota), "50000\n");
        let seccomp = "grep ^Seccomp: /proc/self/status | tr -d 'Seccomp:\t'";
        assert_eq!(inside("", seccomp), "2\n");
        assert_eq!(inside("--security-opt seccomp=unconfined", seccomp), "0\n");
        assert_eq!(inside("--privileged", seccomp), "0\n");
        assert_eq!(
            inside("--security-opt no-new-privileges", "grep NoNewPrivs /proc/self/status"),
            "NoNewPrivs:\t1\n"
        );
        assert_eq!(inside("-u daemon", "id -un"), "daemon\n");
    }

    #[test]
    fn a_network_is_shared_only_with_one_that_runs() {
        let (gaufre, image) = ready();
        let id = detached(&gaufre, &image, "--name=owner", "sleep 1000");
        let share = ["run", "--rm", "--network=container:owner", &image, "readlink", "/proc/self/ns/net"];
        let own = gaufre.ok(&["exec", "owner", "readlink", "/proc/self/ns/net"]);
        assert_eq!(gaufre.ok(&share), own);
        gaufre.ok(&["stop", "--time=0", &id]);
        let said = gaufre.fails(125, &share);
        assert!(said.contains("owner") && said.contains("gaufre start"), "{said}");
        gaufre.ok(&["rm", &id]);
        gaufre.fails(125, &share);
        assert_eq!(gaufre.ok(&["ps", "-aq"]), "");
    }

    #[test]
    fn a_damaged_sandbox_keeps_nobody_from_the_others() {
        let _alone = Witness::alone();
        let witness = Witness::now();
        let (gaufre, image) = ready();
        let good = detached(&gaufre, &image, "--name=good", "sleep 1000");
        let bad = detached(&gaufre, &image, "--name=bad", "sleep 1000");
        std::fs::write(gaufre.dir().join("root/sandboxes").join(&bad).join("definition.json"), "{\"id\":")
            .unwrap();
        let said = gaufre.say(&["ps"]);
        assert_eq!(said.code, 0);
        assert!(said.out.contains("good") && said.err.contains(&bad[..12]), "{said:?}");
        assert_eq!(gaufre.ok(&["exec", "good", "echo", "fine"]), "fine\n");
        let said = gaufre.say(&["system", "check"]);
        assert!(said.code == 1 && said.out.contains("damaged"), "{said:?}");
        gaufre.fails(125, &["rm", "bad"]);
        gaufre.ok(&["rm", "--force", &bad]);
        assert_eq!(gaufre.ok(&["system", "check"]).lines().last(), Some("Nothing is wrong."));
        assert_eq!(gaufre.ok(&["ps", "-q", "--no-trunc"]).trim(), good);
        gaufre.ok(&["create", "--name=bad", &image, "true"]);
        drop(gaufre);
        witness.nothing_more();
    }

    /// Unmounted when dropped, also by a test that fails.
    struct Mounted<'a>(&'a std::path::Path);

    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = tool("umount").arg("--lazy").arg(self.0).output();
        }
    }

    #[test]
    fn a_full_disk_and_one_that_cannot_be_written_cost_nothing_but_an_error() {
        let _alone = Witness::alone();
        let gaufre = Gaufre::new();
        let small = gaufre.dir().join("small");
        std::fs::create_dir(&small).unwrap();
        let mount = |options: &str| {
            let target = small.to_str().unwrap().to_owned();
            gaufre_tests::run(tool("mount").args(["-t", "tmpfs", "-o", options, "tmpfs", &target]));
        };
        let _mounted = Mounted(&small);
        mount("size=4m");
        let at = |arguments: &[&str]| {
            let (root, run) = (small.join("root"), small.join("run"));
            let mut command = tool(gaufre.binary().to_str().unwrap());
            command.arg("--root").arg(root).arg("--run").arg(run).args(arguments);
            gaufre_tests::Said::from(command.output().unwrap())
        };
        let registry = Registry::with_images();
        let said = at(&["pull", "--quiet", "--tls-verify=false", &registry.image("base")]);
        assert!(said.code == 125 && said.err.contains("is full"), "{said:?}");
        assert_eq!(said.err.lines().filter(|line| line.starts_with("Error")).count(), 1, "{said:?}");
        assert_eq!(at(&["system", "check"]).code, 0);
        assert_eq!(at(&["images", "--quiet"]).out, "");
        gaufre_tests::run(tool("mount").args(["-o", "remount,ro", small.to_str().unwrap()]));
        let said = at(&["pull", "--quiet", "--tls-verify=false", &registry.image("base")]);
        assert!(said.code == 125 && said.err.contains("Read-only"), "{said:?}");
        assert!(said.err.contains("hint: Name writable directories"), "{said:?}");
    }

    #[test]
    fn a_reset_leaves_nothing_not_even_its_directories() {
        let _alone = Witness::alone();
        let witness = Witness::now();
        let (gaufre, image) = ready();
        gaufre.ok(&["run", "-d", "-v", "named:/data", &image, "sleep", "1000"]);
        detached(&gaufre, &image, "--restart=always", "exit 1");
        gaufre.ok(&["create", &image, "true"]);
        gaufre.ok(&["system", "reset", "--force"]);
        until("the keepers' end", || gaufre.processes().is_empty().then_some(()));
        assert_eq!(std::fs::read_dir(gaufre.dir()).unwrap().count(), 0);
        witness.nothing_more();
    }
}
