//! What a workload writes is kept, in order and byte for byte, and shown as asked.

#[cfg(test)]
mod tests {
    use gaufre_tests::{Gaufre, Registry, until};
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    fn ready() -> (Gaufre, String) {
        let (registry, gaufre) = (Registry::with_images(), Gaufre::new());
        let image = gaufre.pull(&registry, "base");
        (gaufre, image)
    }

    fn detached(gaufre: &Gaufre, image: &str, options: &[&str], script: &str) -> String {
        let arguments = [&["run", "-d", "--network=none"], options, &[image, "bash", "-c", script]].concat();
        gaufre.ok(&arguments).trim().to_owned()
    }

    /// One that has ended.
    fn ended(gaufre: &Gaufre, image: &str, options: &[&str], script: &str) -> String {
        let id = detached(gaufre, image, options, script);
        gaufre.ok(&["wait", &id]);
        id
    }

    #[test]
    fn both_streams_are_kept_apart_and_partial_lines_put_together() {
        let (gaufre, image) = ready();
        let script = "echo out; echo err >&2; printf 'be'; sleep 0.2; printf 'gun'; sleep 0.2; echo .; printf 'no end'";
        let id = ended(&gaufre, &image, &[], script);
        let said = gaufre.say(&["logs", &id]);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("out\nbegun.\nno end", "err\n"));
        let stamped = gaufre.ok(&["logs", "-t", &id]);
        for line in stamped.lines() {
            let (time, _) = line.split_once(' ').unwrap();
            assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 30, "{line}");
        }
        assert!(stamped.lines().nth(1).unwrap().ends_with("Z begun."), "{stamped}");
    }

    #[test]
    fn any_byte_comes_back_as_it_was_written() {
        let (gaufre, image) = ready();
        let bytes = "for i in {0..255}; do printf \"\\\\x$(printf %02x $i)\"; done";
        let script = format!("for n in {{1..40}}; do {bytes}; done; head -c 300000 /dev/zero");
        let id = ended(&gaufre, &image, &[], &script);
        let output = gaufre.command().args(["logs", &id]).output().unwrap();
        let mut expected: Vec<u8> = (0..40).flat_map(|_| 0..=255).collect();
        expected.resize(expected.len() + 300_000, 0);
        assert!(output.stdout == expected, "{} of {} bytes", output.stdout.len(), expected.len());
    }

    #[test]
    fn the_tail_and_the_times_cut_what_is_shown() {
        let (gaufre, image) = ready();
        let script =
            "for i in 1 2 3 4 5; do echo early $i; done; sleep 1.5; for i in 1 2 3; do echo late $i; done";
        let id = ended(&gaufre, &image, &[], script);
        let shown = |options: &[&str]| gaufre.ok(&[&["logs"], options, &[&id]].concat());
        assert_eq!(shown(&["--tail=2"]), "late 2\nlate 3\n");
        assert_eq!(shown(&["--tail=0"]), "");
        assert_eq!(shown(&["--tail=99"]).lines().count(), 8);
        assert_eq!(shown(&["--tail=-1"]).lines().count(), 8);
        let stamped = shown(&["-t"]);
        let times: Vec<&str> = stamped.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(shown(&["--since", times[5]]), "late 1\nlate 2\nlate 3\n");
        assert_eq!(shown(&["--until", times[4]]).lines().last(), Some("early 5"));
        assert_eq!(shown(&["--since", times[5], "--until", times[5]]).lines().next(), Some("late 1"));
        assert_eq!(shown(&["--since=1h", "--tail=1"]), "late 3\n");
        assert_eq!(shown(&["--until=1h"]), "");
    }

    #[test]
    fn following_ends_with_the_workload_and_goes_on_over_rotations() {
        let (gaufre, image) = ready();
        let script =
            "for i in $(seq 1 3000); do echo line $i; [ $((i % 100)) = 0 ] && sleep 0.02; done; exit 0";
        let options = ["--log-opt=max-size=8k", "--log-opt=max-file=4"];
        let id = detached(&gaufre, &image, &options, script);
        let follow = gaufre.command().args(["logs", "-f", &id]).stdout(Stdio::piped()).spawn().unwrap();
        let said = String::from_utf8(follow.wait_with_output().unwrap().stdout).unwrap();
        let numbers: Vec<u32> = said.lines().map(|line| line[5..].parse().unwrap()).collect();
        // The first may have been rotated away before the follower came.
        assert_eq!(numbers, (numbers[0]..=3000).collect::<Vec<_>>());
        let logs = gaufre.dir().join("root/sandboxes").join(&id).join("logs");
        let sizes: Vec<u64> = std::fs::read_dir(&logs)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("ctr.log"))
            .map(|entry| entry.metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 4, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= 8 * 1024), "{sizes:?}");
        let kept = gaufre.ok(&["logs", &id]);
        assert_eq!(kept.lines().last(), Some("line 3000"));
        assert_eq!(gaufre.ok(&["logs", "-f", "--tail=1", &id]), "line 3000\n");
    }

    #[test]
    fn a_hundred_megabytes_pass_in_little_memory_and_their_end_is_read_at_once() {
        let (gaufre, image) = ready();
        let line = "0123456789012345678901234567890123456789012345678901234567890123456789012345678";
        let options = ["--log-opt=max-size=20m", "--log-opt=max-file=10"];
        let id = detached(&gaufre, &image, &options, &format!("yes {line} | head -c 104857600; sleep 1"));
        let keeper = until("the keeper", || {
            gaufre.processes().into_iter().find(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).nth(1) == Some(b"keeper")
            })
        });
        let mut most = 0;
        while let Some(memory) = memory_kib(keeper) {
            most = most.max(memory);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(most < 32 * 1024, "the keeper took {most} KiB");
        // Reading it back takes no more memory than writing it.
        let mut logs = Command::new("/usr/bin/env");
        let command = gaufre.command();
        logs.arg(command.get_program()).args(command.get_args()).args(["logs", &id]);
        let begun = Instant::now();
        let mut logs = logs.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = logs.stdout.take().unwrap();
        let (mut read, mut chunk) = (0, vec![0; 1 << 20]);
        loop {
            let len = std::io::Read::read(&mut out, &mut chunk).unwrap();
            if len == 0 {
                break;
            }
            read += len;
            most = most.max(memory_kib(logs.id()).unwrap_or(0));
        }
        logs.wait().unwrap();
        let whole = begun.elapsed();
        assert_eq!(read, 104_857_600);
        assert!(most < 32 * 1024, "logs took {most} KiB");
        let tail = || {
            let begun = Instant::now();
            assert_eq!(gaufre.ok(&["logs", "--tail=3", &id]), format!("{line}\n").repeat(3));
            begun.elapsed()
        };
        let least = (0..5).map(|_| tail()).min().unwrap();
        assert!(least < whole / 2, "{least:?} of {whole:?}");
    }

    fn memory_kib(pid: u32) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    #[test]
    fn a_sandbox_without_a_log_says_so_and_still_shows_its_output_to_who_is_there() {
        let (gaufre, image) = ready();
        let run = ["run", "--name=mute", "--network=none", "--log-driver=none", &image, "echo", "shown"];
        assert_eq!(gaufre.ok(&run), "shown\n");
        let said = gaufre.fails(125, &["logs", "mute"]);
        assert!(said.contains("--log-driver none"), "{said}");
        gaufre.fails(125, &["logs", "no-such"]);
    }

    #[test]
    fn a_slow_reader_slows_the_workload_and_loses_nothing() {
        let (gaufre, image) = ready();
        let mut run = gaufre.command();
        run.args(["run", "--rm", "--network=none", &image, "bash", "-c", "seq 1 300000"])
            .stdout(Stdio::piped());
        let mut run = run.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(800));
        let mut out = String::new();
        std::io::Read::read_to_string(&mut run.stdout.take().unwrap(), &mut out).unwrap();
        assert!(run.wait().unwrap().success());
        assert!(out.lines().map(str::to_owned).eq((1..=300_000).map(|n| n.to_string())));
    }
}
