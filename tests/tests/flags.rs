//! What the flags of `run` and `create` do, where no other file of tests is about it.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Crafted, Gaufre, Said, until};
    use serde_json::json;
    use std::fs;
    use std::io::Write;
    use std::process::Stdio;

    const IMAGE: &str = "example.com/busybox:1";

    fn ready() -> Gaufre {
        let gaufre = Gaufre::new();
        Crafted::busybox().load(&gaufre, IMAGE);
        gaufre
    }

    fn say(gaufre: &Gaufre, options: &str, script: &str) -> Said {
        let mut arguments = vec!["run", "--rm", "--network=none"];
        arguments.extend(options.split_whitespace());
        arguments.extend([IMAGE, "sh", "-c", script]);
        gaufre.say(&arguments)
    }

    fn inside(gaufre: &Gaufre, options: &str, script: &str) -> String {
        let said = say(gaufre, options, script);
        assert_eq!(said.code, 0, "{options}: {said:?}");
        said.out
    }

    fn refused(gaufre: &Gaufre, options: &str, part: &str) {
        let said = say(gaufre, options, "true");
        assert_eq!((said.code, said.err.matches("Error:").count()), (125, 1), "{options}: {said:?}");
        assert!(said.err.contains(part), "{options}: {said:?}");
        assert_eq!(gaufre.ok(&["ps", "--all", "--quiet"]), "");
    }

    /// The capabilities that a process has in effect, by their numbers in <linux/capability.h>.
    fn effective(gaufre: &Gaufre, options: &str) -> u64 {
        let shown = inside(gaufre, options, "grep CapEff /proc/self/status | cut -f 2");
        u64::from_str_radix(shown.trim(), 16).unwrap()
    }

    #[test]
    fn capabilities_are_added_and_dropped_by_name() {
        let gaufre = ready();
        let (chown, net_admin, sys_admin) = (1 << 0, 1 << 12, 1 << 21);
        let usual = effective(&gaufre, "");
        assert_eq!((usual & chown, usual & net_admin, usual & sys_admin), (chown, 0, 0));
        assert_eq!(effective(&gaufre, "--cap-add=NET_ADMIN"), usual | net_admin);
        assert_eq!(effective(&gaufre, "--cap-add=cap_net_admin,sys_admin"), usual | net_admin | sys_admin);
        assert_eq!(effective(&gaufre, "--cap-drop=chown"), usual & !chown);
        assert_eq!(effective(&gaufre, "--cap-drop=all --cap-add=chown"), chown);
        assert_eq!(effective(&gaufre, "-u 7:8"), 0);
        assert_eq!(
            effective(&gaufre, "--privileged").count_ones(),
            effective(&gaufre, "--cap-add=all").count_ones()
        );
        assert!(say(&gaufre, "", "mount -t tmpfs none /tmp").code != 0);
        inside(&gaufre, "--privileged", "mount -t tmpfs none /tmp");
        refused(&gaufre, "--cap-add=fly", "fly");
    }

    #[test]
    fn limits_reach_the_kernel_as_they_were_asked_for() {
        let gaufre = ready();
        let script = "cd /sys/fs/cgroup
            cat memory/memory.limit_in_bytes 2> /dev/null || cat memory.max
            cat cpu/cpu.cfs_quota_us 2> /dev/null || cut -d' ' -f1 cpu.max
            cat pids/pids.max 2> /dev/null || cat pids.max
            ulimit -Sn; ulimit -Hn; ulimit -Sc
            df -k /dev/shm | tail -n 1 | awk '{print $2}'";
        let options =
            "-m 64m --cpus=0.5 --pids-limit=20 --ulimit nofile=100:200 --ulimit core=0 --shm-size=1m";
        let said = inside(&gaufre, options, script);
        assert_eq!(
            said.split_whitespace().collect::<Vec<_>>(),
            ["67108864", "50000", "20", "100", "200", "0", "1024"]
        );
        refused(&gaufre, "--cpus=-1", "cpus");
        refused(&gaufre, "--shm-size=huge", "huge");
        refused(&gaufre, "--pids-limit=many", "many");
    }

    #[test]
    fn a_device_is_given_with_the_access_asked_for_and_no_other() {
        let gaufre = ready();
        let write = "echo x > /dev/given && echo written";
        assert_eq!(inside(&gaufre, "--device=/dev/null:/dev/given", write), "written\n");
        // Not for root either: the cgroup says no.
        assert!(say(&gaufre, "--device=/dev/kmsg:/dev/given:r", write).code != 0);
        assert_eq!(inside(&gaufre, "", "ls /dev/kmsg /dev/given 2> /dev/null || true"), "");
        refused(&gaufre, "--device=/dev/no-such-thing", "/dev/no-such-thing");
        refused(&gaufre, "--device=/etc/passwd", "/etc/passwd");
    }

    #[test]
    fn security_options_mask_unmask_and_filter() {
        let gaufre = ready();
        let profile = gaufre.dir().join("profile.json");
        let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]});
        fs::write(&profile, filter.to_string()).unwrap();
        let option = format!("--security-opt seccomp={}", profile.display());
        assert_eq!(inside(&gaufre, &option, "mkdir /x 2> /dev/null || echo denied"), "denied\n");
        assert_eq!(inside(&gaufre, "", "mkdir /x && echo made"), "made\n");
        fs::write(&profile, "{").unwrap();
        refused(&gaufre, &option, "profile.json");
        refused(&gaufre, "--security-opt seccomp=/no/such/profile", "/no/such/profile");
        refused(&gaufre, "--security-opt fly=high", "fly");
        assert_eq!(inside(&gaufre, "--security-opt mask=/etc/passwd", "wc -c < /etc/passwd"), "0\n");
        let masked = "mount | grep -c ' /proc/keys ' || true";
        assert_eq!(inside(&gaufre, "", masked), "1\n");
        assert_eq!(inside(&gaufre, "--security-opt unmask=/proc/keys", masked), "0\n");
    }

    #[test]
    fn standard_input_is_there_only_when_it_is_asked_for() {
        let gaufre = ready();
        let answer = |options: &[&str]| {
            let mut command = gaufre.command();
            command.args(["run", "--rm", "--network=none"]).args(options).args([IMAGE, "cat"]);
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            // Where nobody reads it, it may be closed already.
            let _ = child.stdin.take().unwrap().write_all(b"said\n");
            String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
        };
        assert_eq!(answer(&["-i"]), "said\n");
        assert_eq!(answer(&["--interactive"]), "said\n");
        assert_eq!(answer(&[]), "");
    }

    #[test]
    fn a_terminal_is_given_without_one_outside_too() {
        let gaufre = ready();
        let said = gaufre.ok(&[
            "run",
            "--rm",
            "-t",
            "--network=none",
            IMAGE,
            "sh",
            "-c",
            "tty; test -t 1 && echo yes",
        ]);
        assert_eq!(said, "/dev/pts/0\r\nyes\r\n");
        assert_eq!(inside(&gaufre, "", "tty || true"), "not a tty\n");
        let id = gaufre.ok(&["run", "-d", "-t", "--network=none", IMAGE, "sleep", "1000"]);
        assert_eq!(gaufre.ok(&["exec", "-t", id.trim(), "sh", "-c", "test -t 0 && echo yes"]), "yes\r\n");
    }

    #[test]
    fn what_create_is_told_run_by_start_is_what_run_is_told() {
        let gaufre = ready();
        let file = gaufre.dir().join("variables");
        fs::write(&file, "FILE=1\n").unwrap();
        let env_file = format!("--env-file={}", file.display());
        let volume = format!("{}:/given:ro", gaufre.dir().display());
        let options = [
            "--name=both",
            "-e",
            "FLAG=2",
            &env_file,
            "-v",
            &volume,
            "-w",
            "/etc",
            "-u",
            "baker:bakers",
            "--read-only",
            "--tmpfs=/memory",
            "--label=kind=waffle",
            "--hostname=oven",
            "--init",
            "--entrypoint=sh",
            "-m",
            "32m",
            "--stop-timeout=1",
            "--add-host=there:10.1.2.3",
            "--network=none",
        ];
        let script = "id -u; id -g; pwd; echo $FILE $FLAG; cat /proc/sys/kernel/hostname; cat /given/variables; \
                      touch /x 2> /dev/null || echo refused; test -d /memory && grep there /etc/hosts; cat /proc/1/comm | wc -l";
        let expected = "7\n8\n/etc\n1 2\noven\nFILE=1\nrefused\n10.1.2.3\tthere\n1\n";
        let with = |verb: &'static str| [&[verb], &options[..], &[IMAGE, "-c", script]].concat();
        gaufre.ok(&with("create"));
        assert_eq!(gaufre.ok(&["start", "--attach", "both"]), expected);
        gaufre.ok(&["rm", "both"]);
        assert_eq!(gaufre.ok(&with("run")), expected);
        let label = gaufre.ok(&["inspect", "--format", "{{.Config.Labels.kind}}", "both"]);
        assert_eq!(label, "waffle\n");
    }

    #[test]
    fn what_contradicts_itself_or_is_not_there_is_refused() {
        let gaufre = ready();
        refused(&gaufre, "--restart=always", "--restart");
        refused(&gaufre, "-w relative", "relative");
        refused(&gaufre, "--restart=sometimes", "sometimes");
        refused(&gaufre, "--env-file=/no/such/file", "/no/such/file");
        refused(&gaufre, "--pull=perhaps", "perhaps");
        refused(&gaufre, "--platform=nonsense/", "nonsense");
        let said = gaufre.fails(125, &["run", "--rm", "--network=container:nobody", IMAGE, "true"]);
        assert!(said.contains("nobody"), "{said}");
        let said = gaufre.fails(125, &["run", "--rm", "--network=none", "--entrypoint=", IMAGE]);
        assert!(said.contains("command"), "{said}");
        let created =
            gaufre.ok(&["create", "--network=none", "--restart=unless-stopped", IMAGE, "sleep", "1000"]);
        gaufre.ok(&["start", created.trim()]);
        until("it to run", || (gaufre.ok(&["ps", "-q", "--no-trunc"]) == created).then_some(()));
    }
}
